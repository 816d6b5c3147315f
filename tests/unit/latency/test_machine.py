import platform

import pytest

from mendsearch.latency import machine
from mendsearch.latency.sessions import Sessions


@pytest.mark.parametrize(
    ("cpu", "board", "name"),
    [
        ("processor: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: A CPU @ 2 GHz\n", None, "A CPU @ 2 GHz"),
        ("processor: 0\nBogoMIPS: 108.00\n", "A Board Rev 1.4\0", "A Board Rev 1.4"),
        (None, None, platform.processor() or platform.machine()),
    ],
)
def test_a_cpu_has_its_makers_name_or_that_of_its_board(tmp_path, monkeypatch, cpu, board, name):
    for attribute, text in (("CPU_INFO", cpu), ("BOARD", board)):
        path = tmp_path / attribute
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(machine, attribute, path)
    assert machine.cpu_name() == name
    assert Sessions().device == name
