import hashlib
import os
import tracemalloc

import fsspec
import pytest
import sqlalchemy as sa

import mendstore
from mendstore import StorageError
from mendstore.blobs import Blobs
from mendstore.blobs import content as content_module
from mendstore.blobs.tables import BLOBS, CHUNKS

from .conftest import MIB, PIECE, SIZE, ended, killed, listed, place_of

CHUNK_BYTES = content_module.CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 300])
def test_what_is_put_is_fetched(blobs, rows, monkeypatch, size):
    monkeypatch.setattr(content_module, "CHUNK_BYTES", 100)
    written = os.urandom(size)
    seen = []
    digest = blobs.put(written, lambda done, total: seen.append((done, total)))
    assert digest == hashlib.sha256(written).hexdigest()
    assert rows() == (1, len(seen)) == (1, -(-size // 100))
    assert seen == [(min(100 * (n + 1), size), size) for n in range(len(seen))]
    fetched = []
    assert blobs.fetch(digest, lambda done, total: fetched.append((done, total))).read_bytes() == written
    assert fetched == seen


def test_putting_again_writes_nothing_and_makes_the_blob_young(database, blobs, rows, content):
    digest = blobs.put(content)
    old = sa.update(BLOBS).values(created_at=sa.text("'2020-01-01'"))
    database.run(lambda connection: connection.execute(old))
    seen = []
    assert blobs.put(content, lambda done, total: seen.append(done)) == digest
    assert seen == []
    assert rows() == (1, 5)
    young = sa.select(BLOBS.c.created_at > sa.text("clock_timestamp() - interval '1 minute'"))
    assert database.run(lambda connection: connection.execute(young).scalar())


def test_a_large_file_is_never_held_whole(database, tmp_path, monkeypatch):
    monkeypatch.setattr(content_module, "CHUNK_BYTES", CHUNK_BYTES)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(96 * MIB))
    blobs = Blobs(database, cache=tmp_path / "cache")
    tracemalloc.start()
    digest = blobs.put(large)
    path = blobs.fetch(digest)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * MIB
    assert path.stat().st_size == 96 * MIB


def test_past_the_limit_a_blob_lies_in_the_store_named_by_its_digest(database, rows, content, store, tmp_path):
    blobs = Blobs(database, store=store, limit_bytes=PIECE, cache=tmp_path / "cache")
    seen = []
    digest = blobs.put(content, lambda done, total: seen.append(done))
    assert seen[-1] == SIZE
    assert rows() == (1, 0)
    assert listed(store) == [digest]
    assert place_of(database, digest).rsplit("/", 1)[1] == digest
    assert Blobs(database, cache=tmp_path / "cache").fetch(digest).read_bytes() == content.read_bytes()
    assert blobs.put(content, lambda done, total: pytest.fail("it was uploaded again")) == digest


def test_at_the_limit_a_blob_is_in_the_database(database, rows, tmp_path):
    blobs = Blobs(database, store=str(tmp_path / "store"), limit_bytes=1000)
    blobs.put(bytes(1000))
    assert rows() == (1, 1)
    blobs.put(bytes(1001))
    assert rows() == (2, 1)


def test_too_large_without_a_store_is_one_line_that_says_what_to_give(database, rows):
    with pytest.raises(StorageError, match=r"got 1,001 bytes, expected at most 1,000; .*s3://bucket/prefix") as caught:
        Blobs(database, limit_bytes=1000).put(bytes(1001))
    assert "\n" not in str(caught.value)
    assert rows() == (0, 0)


def test_a_file_that_changes_while_it_is_put_is_not_kept(database, rows, content, store, tmp_path):
    def spoil(done, total):
        with content.open("r+b") as file:
            file.seek(3 * PIECE)
            file.write(bytes(PIECE))

    for limit in (SIZE, PIECE):
        content.write_bytes(os.urandom(SIZE))
        blobs = Blobs(database, store=store, limit_bytes=limit, cache=tmp_path / "cache")
        with pytest.raises(StorageError, match=r"blob [0-9a-f]{64} changed while it was put"):
            blobs.put(content, spoil)
        assert rows() == (0, 0)
        assert listed(store) == []


def test_killed_in_the_middle_of_a_put_nothing_shows_and_it_can_be_put_again(database, blobs, rows, content, process):
    killed(process("put", content, die_at=3))
    assert rows() == (0, 0)
    digest, calls = ended(process("put", content))
    assert calls == 5
    assert blobs.fetch(digest).read_bytes() == content.read_bytes()


def test_killed_in_the_middle_of_an_upload_nothing_shows_and_it_can_be_put_again(
    database, blobs, rows, content, process, store
):
    killed(process("put", content, store=store, limit=PIECE, die_at=3))
    assert rows() == (0, 0)
    assert all(name.endswith(".partial") for name in listed(store))
    digest, calls = ended(process("put", content, store=store, limit=PIECE))
    assert calls == 5
    assert digest in listed(store)
    assert blobs.fetch(digest).read_bytes() == content.read_bytes()


def test_two_that_put_the_same_at_once_keep_it_once(blobs, rows, content, process):
    children = [process("put", content) for _ in range(3)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    results = [ended(child) for child in children]
    assert rows() == (1, 5)
    assert sorted(calls for _, calls in results) == [0, 0, 5]
    assert blobs.fetch(results[0][0]).read_bytes() == content.read_bytes()


def test_two_that_upload_the_same_at_once_keep_it_once(database, blobs, rows, content, process, store):
    children = [process("put", content, store=store, limit=PIECE) for _ in range(3)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    (digest,) = {ended(child)[0] for child in children}
    assert rows() == (1, 0)
    assert listed(store) == [digest]
    assert blobs.fetch(digest).read_bytes() == content.read_bytes()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "gone"])
def test_a_blob_that_is_damaged_in_the_store_is_named(database, content, store, tmp_path, damage):
    blobs = Blobs(database, store=store, limit_bytes=PIECE, cache=tmp_path / "cache")
    digest = blobs.put(content)
    place = place_of(database, digest)
    system, path = fsspec.core.url_to_fs(place)
    written = content.read_bytes()
    spoilt = {"flipped": b"?" + written[1:], "truncated": written[:-1], "longer": written + b"?"}
    system.rm(path) if damage == "gone" else system.pipe_file(path, spoilt[damage])
    with pytest.raises(StorageError, match=digest) as caught:
        blobs.fetch(digest)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "blobs" / digest).exists()
    if damage != "flipped":  # what has the wrong size is put again without more ado
        assert blobs.put(content) == digest
        assert blobs.fetch(digest).read_bytes() == written


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_a_blob_that_is_damaged_in_the_database_is_named(database, blobs, content, tmp_path, damage):
    digest = blobs.put(content)
    chunk = sa.and_(CHUNKS.c.digest == digest, CHUNKS.c.number == 2)
    spoilt = {"flipped": bytes(PIECE), "truncated": b"x"}
    statement = sa.delete(CHUNKS) if damage == "gone" else sa.update(CHUNKS).values(content=spoilt[damage])
    database.run(lambda connection: connection.execute(statement.where(chunk)))
    with pytest.raises(StorageError, match=rf"blob {digest} is damaged in the database"):
        blobs.fetch(digest)
    assert not (tmp_path / "cache" / "blobs" / digest).exists()
    if damage != "flipped":
        assert blobs.put(content) == digest
        assert blobs.fetch(digest).read_bytes() == content.read_bytes()


def test_a_blob_that_is_not_there_is_named(blobs):
    digest = hashlib.sha256(b"nothing").hexdigest()
    with pytest.raises(StorageError, match=f"blob {digest} is not in this database"):
        blobs.fetch(digest)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "0" * 63, "A" * 64, "0" * 64 + "\n"])
def test_a_name_that_is_no_digest_never_becomes_a_path(blobs, digest):
    with pytest.raises(StorageError, match="expected a sha256"):
        blobs.fetch(digest)


@pytest.mark.parametrize("verb", ["put", "fetch"])
def test_a_connection_that_is_lost_half_way_is_waited_out(storage, database, content, tmp_path, verb):
    lasting = mendstore.Database(storage, outage_s=60)
    blobs = Blobs(lasting, cache=tmp_path / "cache")
    digest = hashlib.sha256(content.read_bytes()).hexdigest() if verb == "put" else blobs.put(content)
    faults = []

    def cut(done, total):
        if done == 3 * PIECE and not faults:
            others = sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'mendsearch' AND backend_type = 'client backend'"
            )
            faults.append(database.run(lambda connection: len(connection.execute(others).all())))

    assert (blobs.put(content, cut) if verb == "put" else blobs.fetch(digest, cut).name) == digest
    assert faults[0] >= 1
    assert blobs.fetch(digest).read_bytes() == content.read_bytes()
    lasting.close()
