"""A Ctrl-C is never lost; what is printed is what was given."""

import io
import signal
import time

import pytest
from rich.console import Console
from rich.table import Table

from mendsearch.cli.common import interruptions_heard, show
from mendview.terminal import searches_table


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


def test_what_is_piped_is_not_folded(capsys):
    long = "a-name-of-a-search-[torch]-" * 20
    table = Table("search", "budget")
    table.add_row(long, "macs 0.4, " * 20)
    show({}, table, as_json=False)
    assert long in capsys.readouterr().out


def test_the_name_of_a_search_is_not_folded_while_anything_else_can_be():
    table = searches_table([])
    name = "test-6345a8e541e7"
    table.add_row(name, *["99 characters, and then some more"] * (len(table.columns) - 1))
    output = io.StringIO()
    Console(width=100, file=output).print(table)
    assert name in output.getvalue()
