"""Signals to a process whose main thread is deep in something else."""

import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import threading, time
from mendsearch.fleet import signals
signals.GRACE_S = 1.0
ended = threading.Event()
waiting = signals.Signals(ended, lambda number: print("gave back after", number, flush=True))
waiting.start()
print("ready", flush=True)
if {obeys}:
    ended.wait()
    print("ended by", waiting.number, flush=True)
    raise SystemExit(128 + waiting.number)
time.sleep(60)
"""


def started(obeys):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(obeys=obeys)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_worker_that_ends_after_its_trial_says_which_signal(number):
    process = started(obeys=True)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (f"ended by {int(number)}\n", "", 128 + number)


def test_a_trial_that_takes_too_long_is_given_back():
    process = started(obeys=False)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("gave back after 15\n", 143)


def test_a_second_signal_ends_at_once():
    process = started(obeys=False)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.9)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 143)


def test_one_order_that_comes_twice_is_one_order():
    process = started(obeys=False)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) in {("gave back after 15\n", 143), ("gave back after 2\n", 130)}
