import os
import threading
import time

import pytest
import sqlalchemy as sa

import mendstore
from mendstore.blobs import Blobs, Collected, collect
from mendstore.blobs.tables import BLOBS, is_kept

from .conftest import PIECE, SIZE, killed, listed, place_of


@pytest.fixture
def search(database, name):
    """Names the blobs of a search, by role."""
    registered = mendstore.register(
        database, name, trials=1, distributions={}, fingerprint="", spec={}, versions={}, starts=[]
    )
    yield lambda **blobs: mendstore.name_blobs(database, registered, blobs)
    mendstore.remove(database, name)


def test_what_a_search_names_stays_and_the_rest_goes(database, blobs, search):
    weights, ranking, old = (blobs.put(os.urandom(1000)) for _ in range(3))
    search(weights=weights, ranking=ranking)
    assert collect(database, grace_s=0) == Collected(1, 0, 1000)
    assert blobs.fetch(weights).stat().st_size == blobs.fetch(ranking).stat().st_size == 1000
    with pytest.raises(mendstore.StorageError, match="not in this database"):
        blobs.fetch(old)
    search(weights=weights)
    assert collect(database, grace_s=0) == Collected(1, 0, 1000)
    assert collect(database, grace_s=0) == Collected(0, 0, 0)


def test_what_is_young_stays(database, blobs, rows):
    blobs.put(b"an upload under way")
    assert collect(database) == Collected(0, 0, 0)
    assert collect(database, grace_s=60) == Collected(0, 0, 0)
    later = sa.update(BLOBS).values(created_at=sa.text("clock_timestamp() - interval '61 s'"))
    database.run(lambda connection: connection.execute(later))
    assert collect(database, grace_s=60).blobs == 1
    assert rows() == (0, 0)


def test_objects_go_with_their_blobs(database, content, store, tmp_path, search):
    blobs = Blobs(database, store=store, limit_bytes=PIECE, cache=tmp_path / "cache")
    digest, kept = blobs.put(content), blobs.put(os.urandom(PIECE + 1))
    search(data=kept)
    assert collect(database, grace_s=0) == Collected(1, 0, SIZE)
    assert listed(store) == [kept]
    assert collect(database, store=store, grace_s=0) == Collected(0, 0, 0)
    assert blobs.put(content) == digest
    assert listed(store) == sorted([digest, kept])


def test_an_object_that_is_gone_already_does_not_keep_its_blob(database, rows, content, tmp_path):
    blobs = Blobs(database, store=str(tmp_path / "store"), limit_bytes=PIECE)
    place = place_of(database, blobs.put(content))
    os.unlink(place.removeprefix("file://"))
    assert collect(database, grace_s=0).blobs == 1
    assert rows() == (0, 0)


def test_what_a_killed_upload_left_goes_once_it_is_old(database, content, process, tmp_path):
    store = str(tmp_path / "store")
    killed(process("put", content, store=store, limit=PIECE, die_at=3))
    (partial,) = listed(store)
    assert partial.endswith(".partial")
    assert collect(database, store=store) == Collected(0, 0, 0)
    found = collect(database, store=store, grace_s=0)
    assert (found.blobs, found.leftovers) == (0, 1)
    assert 0 < found.bytes <= SIZE
    assert listed(store) == []


def test_an_object_whose_row_was_never_written_goes_once_it_is_old(database, content, store):
    blobs = Blobs(database, store=store, limit_bytes=PIECE)
    digest = blobs.put(content)
    database.run(lambda connection: connection.execute(sa.delete(BLOBS)))
    assert collect(database, store=store) == Collected(0, 0, 0)
    assert blobs.put(content, lambda done, total: pytest.fail("it is there, whole")) == digest
    database.run(lambda connection: connection.execute(sa.delete(BLOBS)))
    assert collect(database, store=store, grace_s=0) == Collected(0, 1, SIZE)
    assert listed(store) == []


def test_what_is_not_of_this_database_stays_in_the_store(database, content, tmp_path, rows):
    store = tmp_path / "store"
    blobs = Blobs(database, store=str(store), limit_bytes=PIECE)
    digest = blobs.put(content)
    own = next(store.iterdir())
    other = store / "7000000000000000000-5"  # another database's folder: this one is a copy of that, say
    other.mkdir()
    (own / digest).rename(other / digest)
    (own / "notes.txt").write_text("somebody's")
    moved = sa.update(BLOBS).values(place=f"file://{other}/{digest}")
    database.run(lambda connection: connection.execute(moved))
    assert collect(database, store=str(store), grace_s=0) == Collected(1, 0, 0)
    assert rows() == (0, 0)
    assert listed(str(store)) == sorted([digest, "notes.txt"])


def test_a_store_that_is_away_keeps_its_blobs_alone(database, rows, content, tmp_path):
    blobs = Blobs(database, store=str(tmp_path / "store"), limit_bytes=PIECE)
    blobs.put(content)
    blobs.put(b"small")
    away = (
        sa.update(BLOBS)
        .where(BLOBS.c.place.is_not(None))
        .values(place=sa.func.replace(BLOBS.c.place, "file", "nosuch"))
    )
    database.run(lambda connection: connection.execute(away))
    with pytest.raises(mendstore.StorageError, match="store nosuch://"):
        collect(database, grace_s=0)
    assert rows() == (1, 0)


def test_a_blob_that_is_put_again_while_it_is_collected_stays(database, storage, blobs):
    digest = blobs.put(b"wanted after all")
    old = sa.update(BLOBS).values(created_at=sa.text("clock_timestamp() - interval '1 day'"))
    database.run(lambda connection: connection.execute(old))
    found = []
    other = mendstore.Database(storage)
    collector = threading.Thread(target=lambda: found.append(collect(other, grace_s=60)))
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with database.engine.begin() as connection:
        assert is_kept(connection, digest, 16, None)  # the first half of putting it again
        collector.start()
        deadline = time.monotonic() + 60
        while not connection.execute(waiting).scalar() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert connection.execute(waiting).scalar() == 1
    collector.join(60)
    other.close()
    assert found == [Collected(0, 0, 0)]
    assert blobs.fetch(digest).read_bytes() == b"wanted after all"
