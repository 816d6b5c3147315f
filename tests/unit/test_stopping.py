"""A process that is asked to stop ends with 128 + n, whatever it does at that moment."""

import signal
import subprocess
import sys
import time

import pytest

BEGIN = """
import gc, hashlib, sys, threading, time, weakref
from mendsearch.stopping import Listener, Stopping

stopping = Stopping()
Listener(stopping, lambda: print("said", file=sys.stderr)).start()
"""
MOMENTS = {
    "in plain code": "print('ready', flush=True)\nwhile True: pass",
    "in native code": "print('ready', flush=True)\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)",
    "in callbacks of weak references": """
class Thing: pass
print('ready', flush=True)
while True:
    thing = Thing()
    watch = weakref.ref(thing, lambda _: time.sleep(0.01))
    del thing
""",
    "while everything is caught": """
print('ready', flush=True)
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
""",
}
BUSY = """
def give_back(number):
    print("gave back after", number, flush=True)

with stopping.finishing({grace}, give_back):
    print('ready', flush=True)
    if {obeys}:
        stopping.event.wait()
    else:
        time.sleep(60)
print("ended after", stopping.number, flush=True)
sys.exit(7)
"""


def started(script):
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_it_at_any_moment(moment, number):
    process = started(MOMENTS[moment])
    time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, "said\n")


def test_what_has_to_be_finished_is_finished():
    process = started(BUSY.format(grace=30, obeys=True))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=40)
    assert "gave back" not in out
    assert process.returncode in (7, 143)


def test_what_takes_too_long_is_given_back():
    process = started(BUSY.format(grace=0.5, obeys=False))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=40)
    assert (out, process.returncode) == ("gave back after 15\n", 143)


def test_a_second_signal_ends_at_once():
    process = started(BUSY.format(grace=60, obeys=False))
    process.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("", 130)
