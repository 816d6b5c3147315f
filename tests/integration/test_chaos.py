"""Faults for a small fleet: workers killed, frozen and signalled, the server crashed and down, the network cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fleet import chaos
from bench.fleet.server import serving


@pytest.mark.timeout(600)  # two minutes where the machine does nothing else
def test_nothing_is_lost_and_nothing_counts_twice_whatever_breaks(tmp_path: Path) -> None:
    with serving(tmp_path / ".mendsearch") as server:
        found = chaos.search_under_faults(server, "ours", chaos.SHORT, tmp_path / "run", apart=False)
    assert chaos.faultless(found) == [], found
    struck = " ".join(found["faults"])
    for fault in ("kill -9", "SIGTERM", "restarted, immediate", "stopped for", "network cut"):
        assert fault in struck, found["faults"]
    assert found["fine_tunings_struck"] > 0, "the faults go on while finalists are fine-tuned"
