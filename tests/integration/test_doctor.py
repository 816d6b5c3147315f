"""`doctor` as an operator runs it: in a process, on a real Postgres."""

import json

import sqlalchemy as sa

import mendstore
from tests.acceptance.cli import mendsearch


def test_machine_packages_devices_and_database_are_told(storage, tmp_path):
    mendstore.upgrade(storage)
    ended = mendsearch("doctor", storage, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert list(facts) == ["machine", "packages", "devices", "database"]
    assert facts["packages"]["optuna"].startswith("5.")
    assert "threads" in facts["devices"]["cpu"]
    assert facts["database"]["server"].startswith("PostgreSQL ")
    assert facts["database"]["schema"] == "of this version"


def test_a_schema_that_is_missing_is_told_with_its_remedy(storage, tmp_path):
    other = sa.make_url(mendstore.normalised(storage)).set(database="postgres")
    ended = mendsearch("doctor", other.render_as_string(hide_password=False), "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "mendsearch db upgrade" in json.loads(ended.stdout)["database"]["schema"]


def test_what_can_be_told_is_told_where_the_database_cannot_be_reached(tmp_path):
    ended = mendsearch("doctor", "postgresql://me:secret@localhost:1/x", cwd=tmp_path)
    assert ended.returncode == 3
    assert "cannot be reached" in ended.stdout
    assert "Connection refused" in ended.stderr
    assert "secret" not in ended.stdout + ended.stderr


def test_where_there_is_no_database_none_is_started(tmp_path):
    ended = mendsearch("doctor", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "none: `run` makes one here" in ended.stdout
    assert list(tmp_path.iterdir()) == []
