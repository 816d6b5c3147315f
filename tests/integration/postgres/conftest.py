"""A migrated study database behind our settings and roles, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mendstore
from tests.integration.postgres.fleet_server import FleetServer, fleet_server


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    with fleet_server(tmp_path_factory.mktemp("fleet")) as server:
        mendstore.upgrade(server.url("mend_owner"))
        yield server


@pytest.fixture
def database(fleet: FleetServer, name: str) -> str:
    """An empty database of the test's own, with our roles' rights."""
    fleet.make_database(name)
    return name
