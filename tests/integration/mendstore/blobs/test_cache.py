import os
from pathlib import Path

import pytest

from mendstore import StorageError
from mendstore.blobs import Blobs
from mendstore.blobs.cache import default_folder

from .conftest import ended, killed


def test_several_workers_of_a_node_fetch_a_blob_once(blobs, content, process):
    digest = blobs.put(content)
    children = [process("fetch", digest) for _ in range(4)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    results = [ended(child) for child in children]
    (path,) = {path for path, _ in results}
    assert Path(path).read_bytes() == content.read_bytes()
    assert sorted(calls for _, calls in results) == [0, 0, 0, 5]


def test_killed_in_the_middle_of_a_fetch_another_worker_fetches_it(blobs, content, process, tmp_path):
    digest = blobs.put(content)
    killed(process("fetch", digest, die_at=3))
    assert not (tmp_path / "cache" / "blobs" / digest).exists()
    path, calls = ended(process("fetch", digest))
    assert calls == 5
    assert Path(path).read_bytes() == content.read_bytes()
    assert sorted(file.name for file in (tmp_path / "cache" / "blobs").iterdir()) == [digest, f"{digest}.lock"]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "empty", "gone"])
def test_a_damaged_cached_file_is_fetched_anew(blobs, content, damage):
    digest = blobs.put(content)
    path = blobs.fetch(digest)
    written = content.read_bytes()
    spoilt = {"flipped": b"?" + written[1:], "truncated": written[:-1], "longer": written + b"?", "empty": b""}
    path.unlink() if damage == "gone" else path.write_bytes(spoilt[damage])
    seen = []
    assert blobs.fetch(digest, lambda done, total: seen.append(done)).read_bytes() == written
    assert len(seen) == 5


def test_what_is_in_the_cache_needs_no_database(database, storage, content, tmp_path):
    digest = Blobs(database, cache=tmp_path / "cache").put(content)
    path = Blobs(database, cache=tmp_path / "cache").fetch(digest)
    from mendstore import Database

    away = Database("postgresql://u@127.0.0.1:1/none")
    assert Blobs(away, cache=tmp_path / "cache").fetch(digest) == path
    with pytest.raises(StorageError, match="refused"):
        Blobs(away, cache=tmp_path / "elsewhere").fetch(digest)


def test_the_cache_is_where_the_environment_says_or_the_user_keeps_caches(database, tmp_path, monkeypatch):
    monkeypatch.setenv("MENDSEARCH_CACHE", str(tmp_path / "node"))
    blobs = Blobs(database)
    digest = blobs.put(os.urandom(10))
    assert blobs.fetch(digest) == tmp_path / "node" / "blobs" / digest
    monkeypatch.delenv("MENDSEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "mendsearch"


def test_a_cache_that_cannot_be_used_is_one_line_that_says_what_to_set(database, tmp_path):
    (tmp_path / "file").write_text("in the way")
    blobs = Blobs(database, cache=tmp_path / "file")
    digest = blobs.put(b"some")
    with pytest.raises(StorageError, match=rf"blob {digest} cannot be kept under .*set MENDSEARCH_CACHE") as caught:
        blobs.fetch(digest)
    assert "\n" not in str(caught.value)
