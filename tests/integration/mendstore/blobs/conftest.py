"""A database with the tables of blobs, stores, and a process that puts or fetches and may be killed at it."""

import os
import re
import signal
import subprocess
import sys

import fsspec
import pytest
import sqlalchemy as sa

import mendstore
from mendstore.blobs import Blobs
from mendstore.blobs import content as content_module
from mendstore.blobs.tables import BLOBS, CHUNKS

SCRIPT = """
import os, signal, sys
from pathlib import Path
from mendstore import Database
from mendstore.blobs import Blobs, content
content.CHUNK_BYTES = 2**18
url, verb, what, store, cache, limit, die_at = sys.argv[1:]
blobs = Blobs(Database(url), store=store or None, cache=Path(cache), limit_bytes=int(limit))
calls = 0
def progress(done, total):
    global calls
    calls += 1
    if calls == int(die_at):
        os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.readline()
print(blobs.put(Path(what), progress) if verb == "put" else blobs.fetch(what, progress), calls)
"""
MIB, PIECE = 2**20, 2**18
"""Pieces are small in these tests, so that a file of a megabyte has several."""
SIZE = 4 * PIECE + PIECE // 2


@pytest.fixture
def database(storage):
    mendstore.upgrade(storage)
    database = mendstore.Database(storage)
    database.run(lambda connection: connection.execute(sa.delete(BLOBS)))
    yield database
    database.close()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(content_module, "CHUNK_BYTES", PIECE)


@pytest.fixture
def blobs(database, tmp_path):
    return Blobs(database, cache=tmp_path / "cache")


@pytest.fixture
def content(tmp_path):
    """A file of five pieces, that no other test has."""
    path = tmp_path / "content"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def rows(database):
    """Rows of blobs and of chunks."""

    def count():
        counts = [sa.select(sa.func.count()).select_from(table) for table in (BLOBS, CHUNKS)]
        return tuple(database.run(lambda connection: [connection.execute(each).scalar_one() for each in counts]))

    return count


@pytest.fixture
def process(storage, tmp_path):
    """Starts a process that puts a file or fetches a digest; `go` lets it begin, `die_at` is the piece that it dies at."""
    started = []

    def start(verb, what, store="", limit=256 * MIB, die_at=0, cache=tmp_path / "cache"):
        command = [sys.executable, "-W", "error", "-c", SCRIPT]
        arguments = [storage, verb, what, store, cache, limit, die_at]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        child = subprocess.Popen([*command, *map(str, arguments)], text=True, **pipes)
        started.append(child)
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def ended(child):
    """(what it printed last, calls of its progress) of a process that was let go and ended well."""
    out, err = child.communicate("\n", timeout=120)
    assert child.returncode == 0, err
    result, calls = out.split()
    return result, int(calls)


def killed(child):
    child.communicate("\n", timeout=120)
    assert child.returncode == -signal.SIGKILL


@pytest.fixture(scope="session")
def s3_server():
    """The endpoint of an S3 server in a process of its own."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    for line in server.stderr:
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
            break
    else:
        pytest.fail("the S3 server did not start")
    yield found[1]
    server.kill()
    server.communicate()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The URL of a prefix in a bucket of that server; credentials and endpoint are in the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = fsspec.filesystem("s3")
    bucket = f"bucket-{os.urandom(4).hex()}"
    system.mkdir(bucket)
    return f"s3://{bucket}/blobs"


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    """Each kind of store."""
    return str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3")


def listed(store):
    """Names of all files in a store, leftovers included."""
    system, path = fsspec.core.url_to_fs(store)
    system.invalidate_cache()
    return sorted(found.rsplit("/", 1)[-1] for found in system.find(path))


def place_of(database, digest):
    statement = sa.select(BLOBS.c.place).where(BLOBS.c.digest == digest)
    return database.run(lambda connection: connection.execute(statement).scalar())
