"""postgresql.conf: the server has read it, and means it."""

from __future__ import annotations

from mendstore.registration import LEASE_S
from tests.integration.postgres.access import ask
from tests.integration.postgres.fleet_server import FleetServer


def test_every_setting_is_in_force(fleet: FleetServer) -> None:
    others = fleet.administer(
        "-c",
        "SELECT f.name FROM pg_file_settings f JOIN pg_settings s USING (name) "
        "WHERE f.error IS NOT NULL OR s.source <> 'configuration file'",
    )
    assert others == "listen_addresses", "the test itself sets this one"


def test_what_is_committed_survives(fleet: FleetServer) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert fleet.administer("-c", f"SHOW {setting}") == "on"


def test_a_worker_gives_up_waiting_before_its_lease_ends(fleet: FleetServer) -> None:
    for setting in ("lock_timeout", "statement_timeout"):
        shown = ask(fleet.url("mend_worker"), "SELECT setting::int FROM pg_settings WHERE name = %s", setting)
        assert 0 < shown / 1000 <= LEASE_S / 3
