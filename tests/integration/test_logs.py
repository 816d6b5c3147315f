"""`logs` as an operator runs it."""

import json
import re

from bench.fleet.synthetic import make_search
from tests.acceptance.cli import mendsearch


def test_events_are_printed_with_time_and_worker(storage, name, tmp_path):
    make_search(storage, name, trials=20, done=10, groups=4, workers=3)
    ended = mendsearch("logs", storage, name, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC ", line) for line in lines)
    assert any(" worker 0 " in line for line in lines)
    found = json.loads(mendsearch("logs", storage, name, "--last", "2", "--json", cwd=tmp_path).stdout)
    assert len(found) == 2
    assert set(found[0]) == {"at", "kind", "detail", "ordinal"}


def test_a_name_that_is_not_there_is_told(storage, name, tmp_path):
    make_search(storage, name, trials=20, done=10, groups=4, workers=1)
    ended = mendsearch("logs", storage, "nobody", cwd=tmp_path)
    assert ended.returncode == 2
    assert "no search `nobody`" in ended.stderr
