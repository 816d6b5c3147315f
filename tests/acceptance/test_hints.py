"""Every command that is printed works when it is pasted into a fresh shell: without the variables of the one before."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.cli import ENVIRONMENT, mendsearch

HINT = re.compile(
    r"`((?:mendsearch|optuna-dashboard) [^`]+)`|(?<=: )((?:mendsearch|optuna-dashboard) .+)$", re.MULTILINE
)
SPEC = """
name = "{name}"
model = {{ name = "own:network", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = 0.4
train.epochs = 1
mend.trials = 3
finetune.epochs = 0
"""
OWN = """
from mendsearch.models.registry import build_model


def network(width, **kwargs):
    return build_model("digits-resnet", {"width": width, **kwargs})
"""
PAGES = ("mendsearch dashboard", "optuna-dashboard")
"""Commands that serve pages until they are ended."""


def hints(ended):
    """Commands in what a command printed."""
    return [a or b for a, b in HINT.findall(ended.stdout + "\n" + ended.stderr)]


def paste(line, cwd):
    """Run a line in a fresh shell, as a user would."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {key: value for key, value in ENVIRONMENT.items() if not key.startswith("MEND")} | {"PATH": path}
    if line.startswith(PAGES):
        return serve(line + (" --no-open --port 0" if line.startswith("mendsearch") else " --port 0"), cwd, clean)
    ended = subprocess.run(
        ["sh", "-c", line], cwd=cwd, env=clean, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, f"{line}\n{ended.stderr}"
    return ended


def serve(line, cwd, environment):
    process = subprocess.Popen(
        ["sh", "-c", f"exec {line}"],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines, deadline = [], time.monotonic() + 90
    while time.monotonic() < deadline and not any("http" in said for said in lines):
        said = process.stdout.readline()
        assert said, f"{line}\n{''.join(lines)}"
        lines.append(said)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return None


def only(found, verb):
    (line,) = dict.fromkeys(line for line in found if line.startswith(f"mendsearch {verb}"))
    return line


@pytest.fixture
def home(tmp_path, name, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "MENDSEARCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "spec.toml").write_text(SPEC.format(name=name))
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize("place", ["--storage", "the variable", "embedded"])
@pytest.mark.timeout(900)
def test_every_hint_of_the_life_of_a_search_works_when_pasted(home, storage, name, place):
    given = ("--storage", storage) if place == "--storage" else ()
    variable = storage if place == "the variable" else None

    def ask(*words):
        return mendsearch(*words, *(given if words[0] == "create" else ()), cwd=home, storage=variable)

    created = ask("create", "spec.toml")
    assert created.returncode == 0, created.stderr
    rest = only(hints(created), "run")
    at = [storage] if given else []
    waiting = ask("status", *at, name)
    assert only(hints(waiting), "launch") == only(hints(created), "launch")
    stopped = ask("stop", *at, name)
    refused = ask("launch", *at, name, "--workers", "1")
    assert refused.returncode == 2
    assert (
        only(hints(refused), "resume")
        == only(hints(stopped), "resume")
        == only(hints(ask("status", *at, name)), "resume")
    )
    resumed = paste(only(hints(stopped), "resume"), home)
    paste(only(hints(resumed), "launch"), home)
    again = ask("launch", *at, name, "--workers", "1")
    more = only(hints(again), "resume")
    done = paste(rest, home)
    assert name in done.stdout
    for line in hints(done):
        if "db stop" not in line:
            paste(line, home)
    paste(more, home)
    missing = ask("report", *at, "nobody")
    assert missing.returncode == 2
    assert name in paste(only(hints(missing), "status"), home).stdout
    removed = ask("delete", *at, name, "--yes")
    paste(only(hints(removed), "gc"), home)
    after = paste(rest, home)
    assert f"study `{name}` is no longer in" in after.stderr
    assert not any(line.startswith(PAGES) for line in hints(after)), "no page of what was deleted"
    if place == "embedded":
        assert "stopped" in paste(only(hints(done), "db stop"), home).stdout
