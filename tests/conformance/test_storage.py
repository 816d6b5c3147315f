"""Optuna's own conformance suite, on a real Postgres."""

import uuid

import pytest
import sqlalchemy as sa
from optuna.testing.pytest_storages import StorageTestCase

import mendstore
from mendstore.database import Database
from mendstore.storage import MendStorage


class TestMendStorage(StorageTestCase):
    @pytest.fixture
    def storage(self, server):
        """In a database of its own: the suite counts studies."""
        shared = Database(server.start())
        fresh = f"conformance_{uuid.uuid4().hex[:12]}"
        shared.run(lambda connection: connection.execute(sa.text(f'CREATE DATABASE "{fresh}"')))
        url = sa.make_url(shared.url).set(database=fresh).render_as_string(hide_password=False)
        mendstore.upgrade(url)
        database = Database(url)
        yield MendStorage(database)
        database.close()
        shared.run(lambda connection: connection.execute(sa.text(f'DROP DATABASE "{fresh}" WITH (FORCE)')))
        shared.close()
