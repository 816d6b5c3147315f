"""`status` says of every search how far it is, and `status --check` tells a script by its exit code."""

import io
import json
import subprocess
import sys

from rich.console import Console

import mendstore
from mendstore.queries.searches import find_search
from mendview.overview import overview
from mendview.terminal import check_line, searches_table
from tests.acceptance.cli import mendsearch
from tests.integration.mendstore.test_deliberate import registered


def seen(storage, name):
    reader = mendstore.Reader(storage)
    try:
        return reader.read(lambda snapshot: overview(snapshot, find_search(snapshot, name=name)))
    finally:
        reader.close()


def test_the_states_of_a_search_and_what_a_script_is_told(database, storage, name, tmp_path):
    search = registered(database, name, 1)
    structure = {"dense": {"macs": 1000.0}, "budget": {"macs": 400.0}}
    mendstore.describe(database, search, {"structure": json.dumps(structure)})
    assert check_line(seen(storage, name))[0] == 6
    assert "mendsearch launch" in seen(storage, name).todo
    queue = mendstore.Queue(database, search, "cpu", tmp_path)
    assert check_line(seen(storage, name))[0] == 5
    _, (claim,) = queue.claim([("1", {"x": 1.0})])
    output = io.StringIO()
    Console(width=200, file=output, markup=False).print(searches_table([seen(storage, name)]))
    assert (seen(storage, name).fleet.leased, seen(storage, name).fleet.waiting) == (1, 0)
    assert "0 of 1" in output.getvalue()
    assert "[" not in output.getvalue()  # colours are no markup: what is printed keeps its brackets
    mendstore.stop(database, search)
    assert check_line(seen(storage, name))[0] == 5
    queue.finish(mendstore.Result(claim.item_id, "COMPLETE", -0.5, "1", {"x": 1.0}))
    queue.leave("finished")
    code, line = check_line(seen(storage, name))
    assert (code, line) == (0, f"{name}: finished, 1 of 1 trials, best score −0.5000")
    mendstore.enlarge(database, search, by=2)
    assert check_line(seen(storage, name))[0] == 6
    mendstore.stop(database, search)
    assert "mendsearch resume" in seen(storage, name).todo
    ended = mendsearch("status", storage, name, "--check", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (6, "")
    assert ended.stdout == f"{name}: stopped, 1 of 3 trials, best score −0.5000\n"
    mendstore.enlarge(database, search, to=1)
    assert check_line(seen(storage, name))[0] == 0
    queue = mendstore.Queue(database, search, "cpu", tmp_path)
    tasks = mendstore.Tasks(database, queue, "recipe", None, tmp_path)
    _, task = tasks.claim(["choose"])
    assert seen(storage, name).state == "fine-tuning"
    assert check_line(seen(storage, name))[0] == 5
    watching = subprocess.Popen(
        [sys.executable, "-m", "mendsearch", "status", storage, name, "--watch", "--check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "fine-tuning" in watching.stderr.readline(), "it waits while a worker is at it"
    finalist = mendstore.ChosenFinalist("uniform", "1", {"a": 1}, -0.5)
    tasks.choose(task, [finalist], [{"part": 1.0, "places": 1}], 0.1)
    queue.leave("finished")
    halted = seen(storage, name)
    assert (halted.state, check_line(halted)[0]) == ("halted", 6), "nobody fine-tunes, and it is not finished"
    told, _ = watching.communicate(timeout=60)
    assert (watching.returncode, told.partition(",")[0]) == (6, f"{name}: halted")
    assert halted.verdict == "Halted: no worker is alive, 1 fine-tuning to go."
    assert "mendsearch launch" in halted.todo
    mendstore.stop(database, search)
    assert "mendsearch resume" in seen(storage, name).todo
    mendstore.enlarge(database, search)
    queue = mendstore.Queue(database, search, "cpu", tmp_path)
    tasks = mendstore.Tasks(database, queue, "recipe", None, tmp_path)
    _, task = tasks.claim(["finetune"])
    (tmp_path / "weights").write_text(name)
    tasks.finish(task, mendstore.Tuned(0.5, 0.0, 0.1), tmp_path / "weights")
    assert (seen(storage, name).state, check_line(seen(storage, name))[0]) == ("finished", 0)
    assert mendsearch("status", storage, "nobody", "--check", cwd=tmp_path).returncode == 2
    assert mendsearch("status", storage, "--check", cwd=tmp_path).returncode == 2
