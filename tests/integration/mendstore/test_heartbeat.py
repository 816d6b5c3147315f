"""The thread that renews, in processes of its own: hanging workers, and leases that outlive their time."""

import subprocess
import sys
import time

import pytest

import mendstore
from mendstore import Heartbeat, Queue
from tests.integration.mendstore.test_queue import database, execute, proposal, registered, url  # noqa: F401

SCRIPT = """
import pathlib, sys, time, mendstore
url, name, folder = sys.argv[1:]
database = mendstore.Database(url)
queue = mendstore.Queue(database, mendstore.find(database, name), "cpu", pathlib.Path(folder))
heartbeat = mendstore.Heartbeat(queue, limit_s=0.5, say=lambda line: print(line, file=sys.stderr))
heartbeat.start()
queue.claim([("1,1", {"restore/a": 1, "restore/b": 1})])
heartbeat.begin()
def hangs_here(): time.sleep(60)
hangs_here()
"""


def test_a_worker_that_hangs_is_ended_and_its_candidate_waits_with_the_stacks(database, name, tmp_path):  # noqa: F811
    registered(database, name, 1)
    hung = subprocess.run(
        [sys.executable, "-c", SCRIPT, database.url, name, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert hung.returncode == 4
    state, attempts, log = execute(
        database, "SELECT i.state, attempts, log FROM mend_items i JOIN studies USING (study_id) WHERE study_name = :n",
        n=name,
    ).one()  # fmt: skip
    assert (state, attempts) == ("waiting", 1)
    assert "hangs_here" in log


def test_a_lease_is_renewed_while_the_worker_is_busy(database, name, tmp_path):  # noqa: F811
    search = registered(database, name, 1, lease_s=1.0)
    queue = Queue(database, search, "cpu", tmp_path)
    heartbeat = Heartbeat(queue, limit_s=60)
    heartbeat.start()
    queue.claim([proposal(1, 1)])
    other = Queue(mendstore.Database(database.url), search, "cpu", tmp_path)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        other.renew()
        time.sleep(0.1)
    heartbeat.close()
    state, attempts = execute(
        database, "SELECT state, attempts FROM mend_items WHERE study_id = :s", s=search.study_id
    ).one()
    assert (state, attempts) == ("leased", 1)


def test_a_search_that_is_stopped_tells_the_worker_once(database, name, tmp_path):  # noqa: F811
    search = registered(database, name, 1, lease_s=1.0)
    told = []
    heartbeat = Heartbeat(Queue(database, search, "cpu", tmp_path), limit_s=60, on_stop=lambda: told.append(1))
    mendstore.stop(database, search)
    heartbeat.start()
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.6)
    heartbeat.close()
    assert told == [1]


@pytest.mark.parametrize("field", ["boot", "pid"])
def test_a_process_id_that_was_given_out_again_is_not_taken_for_the_worker(field):
    own = mendstore.this_process()
    assert not mendstore.surely_dead(own)
    other = {"boot": own.boot[:-1] + ("1" if own.boot[-1] != "1" else "2")} if field == "boot" else {"pid": 2**22 - 1}
    assert mendstore.surely_dead(type(own)(**(vars(own) | other)))
    assert not mendstore.surely_dead(type(own)("another-machine", own.boot, 1))
