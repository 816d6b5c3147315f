"""A Ctrl-C is never lost; what is printed is what was given."""

import signal
import time

import pytest
from rich.table import Table

from mendsearch.cli.common import interruptions_heard, show


class Interrupted:
    """Gets a Ctrl-C while it is destroyed, where Python drops what is raised."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_that_python_drops_comes_again():
    with pytest.raises(KeyboardInterrupt), interruptions_heard():
        Interrupted()
        time.sleep(10)
        pytest.fail("it was lost")


def test_what_else_python_drops_is_told_as_before(monkeypatch):
    class Broken:
        def __del__(self):
            raise ValueError("broken")

    told = []
    monkeypatch.setattr("sys.unraisablehook", lambda dropped: told.append(dropped.exc_type))
    with interruptions_heard():
        Broken()
    assert told == [ValueError]


def test_what_a_table_holds_is_printed_as_it_is(capsys):
    table = Table()
    table.add_row("pip install 'mendsearch[torch]'", "list[int]")
    show({}, table, as_json=False)
    printed = capsys.readouterr().out
    assert "mendsearch[torch]" in printed
    assert "list[int]" in printed
