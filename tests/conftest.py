"""Fixtures that several tests share: a real Postgres, and small networks."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is imported, as the command line does

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import mendstore

# a shell starts background jobs with SIGINT ignored, and that is inherited; the tests send it to processes of theirs
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("default")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mendstore.EmbeddedServer]:
    embedded = mendstore.EmbeddedServer(tmp_path_factory.mktemp("server") / ".mendsearch")
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture(scope="module", autouse=True)
def _connections_of_nobody_are_closed() -> Iterator[None]:
    """Engines are parts of cycles: a study that nobody holds keeps its connection until they are collected."""
    yield
    gc.collect()


@pytest.fixture
def storage(server: mendstore.EmbeddedServer) -> str:
    return server.start()


@pytest.fixture
def name() -> str:
    """A study name that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_storage_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENDSEARCH_STORAGE", raising=False)
    assert "MENDSEARCH_STORAGE" not in os.environ
