"""Searches made up once in the tests' Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

import mendstore
from bench.fleet.synthetic import Made, make_search
from mendstore import Reader

TRIALS, DONE, WORKERS, LOST, ASIDE = 900, 700, 6, 1, 2


@pytest.fixture(scope="session")
def reader(server: mendstore.EmbeddedServer) -> Iterator[Reader]:
    opened = Reader(server.start())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def made(server: mendstore.EmbeddedServer) -> Made:
    """A search that runs; of each module its own, since it counts as stuck minutes after it was made."""
    return make_search(
        server.start(), f"running-{uuid.uuid4().hex[:8]}", trials=TRIALS, done=DONE, workers=WORKERS, lost=LOST,
        set_aside=ASIDE, groups=12, seconds=60, lease_s=7200,
    )  # fmt: skip


@pytest.fixture(scope="session")
def finished(server: mendstore.EmbeddedServer) -> Made:
    """A search that has ended, with results."""
    name = f"finished-{uuid.uuid4().hex[:8]}"
    return make_search(server.start(), name, trials=80, workers=2, lost=0, groups=6, finished=True, ended_ago_s=3600)


@pytest.fixture
def database(storage: str) -> Iterator[mendstore.Database]:
    """The tests' database, with our tables."""
    mendstore.upgrade(storage)
    opened = mendstore.Database(storage)
    yield opened
    opened.close()
