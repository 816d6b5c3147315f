"""A storm over a small fleet: workers killed, frozen and signalled, the server crashed and away, the network cut."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its files can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


@pytest.mark.usefixtures("bench")
def test_nothing_is_lost_and_nothing_counts_twice_whatever_breaks(tmp_path: Path) -> None:
    import chaos
    from fleet_server import serving

    with serving(tmp_path / ".mendsearch") as server:
        found = chaos.storm(server, "ours", chaos.SHORT, tmp_path / "storm", apart=False)
    assert chaos.faultless(found) == [], found
    struck = " ".join(found["faults"])
    for fault in ("kill -9", "SIGTERM", "restarted, immediate", "away for", "network cut"):
        assert fault in struck, found["faults"]
