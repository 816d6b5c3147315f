"""What a run says of its local workers is read, or left out: anybody may write the attribute."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from mendstore.processes import this_process
from mendstore.queries.local_workers import read_local_workers


def said(process, number=3):
    return json.dumps({"number": number, "process": asdict(process)})


def test_a_run_that_is_alive_has_the_workers_that_it_says():
    found = read_local_workers(said(this_process()))
    assert (found.number, found.process) == (3, this_process())


def test_a_run_that_has_ended_has_none_whatever_it_said():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    text = said(this_process(ended.pid))
    assert read_local_workers(text) is not None
    ended.communicate()
    assert read_local_workers(text) is None


@pytest.mark.parametrize("text", [
    None, "null", "3", "[]", "{", "{}", "[" * 5000, '{"number": 1e999, "process": {}}', '{"number": 1, "process": 5}',
    '{"number": 2, "process": {"host": 1, "boot": 2, "pid": "x"}}',
])  # fmt: skip
def test_what_is_no_such_text_says_nothing(text):
    assert read_local_workers(text) is None
