"""Supervisors of workers that run a piece of Python."""

import os
import sys
import time

import pytest

from mendsearch.fleet.launch import RestartPolicy, Supervisor, cpu_slots

QUICK = RestartPolicy(first_s=0.01, longest_s=0.02, healthy_s=30)
GIVES_BACK = """
import signal, sys, time
def end(number, frame):
    print("caught", number, flush=True)
    sys.exit(128 + number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, end)
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def supervise(tmp_path):
    """Makes supervisors of workers that run a piece of Python; they are ended with the test."""
    made = []

    def make(code, workers=1, policy=QUICK, slots=None, **more):
        said, ends = [], []
        supervisor = Supervisor(
            [sys.executable, "-I", "-S", "-c", code],
            dict(os.environ) | {"PLACE": str(tmp_path)},
            slots or cpu_slots(workers),
            tmp_path / "logs",
            on_exit=lambda *end: ends.append(end),
            policy=policy,
            say=said.append,
            **more,
        )
        supervisor.said, supervisor.ends = said, ends
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()
        supervisor.stop()
        supervisor.close()


def wait_until(holds, supervisor, limit_s=30):
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, supervisor.said
        supervisor.poll()
        time.sleep(0.01)


def logs(tmp_path):
    return "".join(path.read_text() for path in sorted((tmp_path / "logs").iterdir()))


def up(tmp_path, count):
    return lambda: logs(tmp_path).count("up") >= count
