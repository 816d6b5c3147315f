"""`mendsearch demo` as a newcomer runs it: real digits, embedded Postgres."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import optuna
import pytest

from mendsearch.study.finalists import POOL
from mendstore import EmbeddedServer
from mendstore.records import title
from tests.acceptance.cli import mendsearch

TRIALS, STARTS = 60, 6
CONTROLS = ("uniform", "pre_pruned", "curves", "random")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One demo in a folder of its own, with its embedded server."""
    folder = tmp_path_factory.mktemp("demo")
    ended = mendsearch("demo", "--out", "demo-out", "--trials", str(TRIALS), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    yield folder, ended
    EmbeddedServer(folder / ".mendsearch").stop()


@pytest.fixture
def result(demo):
    return json.loads((demo[0] / "demo-out" / "result.json").read_text())


@pytest.fixture
def url(demo):
    """The URL as the demo prints it."""
    line = next(line for line in demo[1].stderr.splitlines() if "optuna-dashboard" in line)
    return line.split("'")[1]


def test_the_table_and_the_progress_are_printed(demo):
    for row in ("dense", "uniform", "pre-pruned", "random", "mended"):
        assert row in demo[1].stdout
    for stage in ("train: 30/30", "rank:", f"mend: {TRIALS}/{TRIALS} best score", "fine-tune:"):
        assert stage in demo[1].stderr


def test_who_won_is_said_and_how_to_export_it(demo, result):
    paid = result["exported"].startswith("mended")
    won = f"Finished: {title(result['exported'])}, "
    assert (won if paid else "Finished: mending did not pay here.") in demo[1].stderr
    assert "export it: mendsearch export demo-out" in demo[1].stderr


def test_the_result_has_every_key_that_is_promised(result):
    assert list(result) == [
        "format", "search", "model", "budget", "metric", "test_images", "validation_images", "dense", "finalists",
        "exported", "best", "timings", "trials", "seconds", "seed", "versions",
    ]  # fmt: skip
    assert set(result["dense"]) == {"accuracy", "accuracy_error", "metric", "macs", "params", "latency_ms"}
    assert list(result["finalists"]) == [*CONTROLS, "mended", "mended_2", "mended_3"]
    for row in result["finalists"].values():
        assert set(row) == {
            "accuracy", "accuracy_error", "accuracy_before", "macs", "params", "latency_ms", "keep_counts", "score", "part", "validation",
            "metric", "metric_before", "lead",
        }  # fmt: skip
    assert result["trials"]["complete"] + result["trials"]["stopped_early"] == TRIALS
    assert result["trials"]["complete"] >= 5
    assert result["trials"]["failed"] == 0
    assert set(result["seconds"]) == {"train", "rank", "mend", "finetune", "export"}


def test_the_figures_are_plausible(result):
    assert result["dense"]["accuracy"] > 0.96
    finalists = result["finalists"]
    macs = [row["macs"] for row in finalists.values()]
    assert max(macs) <= 0.1 * result["dense"]["macs"]
    assert min(macs) >= 0.99 * max(macs)
    assert finalists["mended"]["score"] == max(row["score"] for row in finalists.values())
    assert finalists[result["exported"]]["accuracy"] > 0.9
    assert all(0.5 < row["accuracy_before"] < 0.99 for row in finalists.values())


def test_the_exported_network_is_behind_no_control_on_validation(result):
    finalists = result["finalists"]
    exported = finalists[result["exported"]]
    assert exported["part"] == 1.0, "it has had the whole fine-tuning"
    stands = [row["validation"][-1 if row["part"] else 0] for row in (exported, *finalists.values())]
    assert stands[0] == max(stands)
    climbed = sorted({str(row["keep_counts"]): len(row["validation"]) for row in finalists.values()}.values())
    assert climbed[0] == 2, "all have had a quarter of it"
    assert climbed[-1] == 4
    assert climbed.count(4) < len(climbed)


def test_stock_optuna_reads_the_study(url, result):
    study = optuna.load_study(study_name="demo", storage=url)
    assert len(study.trials) == TRIALS
    ranked = sorted((trial for trial in study.trials if trial.state.name == "COMPLETE"), key=lambda trial: -trial.value)
    # structures of the error curves, which are the first trials, are refined whatever their rank
    refined = [trial.user_attrs["keep_counts"] for trial in [*ranked[:POOL], *study.trials[:STARTS]]]
    assert result["finalists"]["mended"]["keep_counts"] in refined


def test_stock_optuna_dashboard_opens_the_printed_url(url):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = Path(sys.executable).with_name("optuna-dashboard")
    dashboard = subprocess.Popen(
        [command, "--port", str(port), url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                    studies = json.load(answer)
                break
            except OSError:
                time.sleep(0.2)
        assert [study["study_name"] for study in studies["study_summaries"]] == ["demo"]
    finally:
        dashboard.terminate()
        dashboard.wait()


def test_the_network_loads_in_a_fresh_process_and_is_as_good_as_the_table_says(demo, result):
    script = (
        "import json, mendsearch; from mendsearch.config import DataSpec\n"
        "from mendsearch.training.sources import open_source; from mendsearch.training.loop import accuracy\n"
        "net = mendsearch.load('demo-out/model')\n"
        "test = open_source(DataSpec(name='digits'), 0).test\n"
        "print(json.dumps([accuracy(net, test), sum(p.numel() for p in net.parameters())]))"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=demo[0], capture_output=True, text=True, check=True)
    exported = result["finalists"][result["exported"]]
    assert json.loads(ended.stdout) == [exported["accuracy"], exported["params"]]


def test_the_report_is_there_and_shows_the_table(demo, result):
    page = (demo[0] / "demo-out" / "report.html").read_text()
    assert f"{result['finalists'][result['exported']]['accuracy']:.2%}" in page
    assert "layer3.0.conv1" in page


def test_run_again_it_ends_in_seconds_and_does_nothing_twice(demo, result, url):
    before = {path: path.stat().st_mtime_ns for path in (demo[0] / "demo-out").rglob("*.safetensors")}
    started = time.monotonic()
    ended = mendsearch("demo", "--out", "demo-out", "--trials", str(TRIALS), "--json", cwd=demo[0])
    assert time.monotonic() - started < 20
    assert json.loads(ended.stdout) == result
    assert {path: path.stat().st_mtime_ns for path in (demo[0] / "demo-out").rglob("*.safetensors")} == before
    assert len(optuna.load_study(study_name="demo", storage=url).trials) == TRIALS


def test_more_trials_go_on_with_the_search(demo, url):
    ended = mendsearch("demo", "--out", "demo-out", "--trials", str(TRIALS + 5), "--json", cwd=demo[0])
    trials = json.loads(ended.stdout)["trials"]
    assert trials["complete"] + trials["stopped_early"] == TRIALS + 5
    assert "train:" not in ended.stderr


def test_status_lists_the_search(demo):
    printed = mendsearch("status", cwd=demo[0]).stdout
    assert re.search(r"demo .* finished ", printed)
    assert "[" not in printed
    found = json.loads(mendsearch("status", "--json", cwd=demo[0]).stdout)
    assert found[0]["name"] == "demo"
    assert found[0]["trials"]["complete"] + found[0]["trials"].get("stopped_early", 0) >= TRIALS
