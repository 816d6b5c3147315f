import os

import pytest

from mendstore import StorageError
from mendstore.blobs import Blobs, objects

from .conftest import MIB, listed


def test_an_object_is_written_read_replaced_and_removed(store):
    url = f"{objects.folder_url(store)}/deep/name"
    assert objects.size(url) is None
    assert objects.files(f"{objects.folder_url(store)}/deep") == []
    objects.upload(url, [b"one", b"two"])
    assert objects.size(url) == 6
    assert 0 <= objects.age_s(url) < 60
    objects.upload(url, [b"", b"three"])
    assert b"".join(objects.read(url)) == b"three"
    assert objects.files(f"{objects.folder_url(store)}/deep") == [objects.Found(url, "name", 5)]
    objects.remove(url)
    objects.remove(url)
    assert objects.size(url) is None


def test_an_object_of_several_parts_comes_back(store):
    """S3 takes an upload in parts of 50 MB."""
    piece = os.urandom(4 * MIB)
    url = f"{objects.folder_url(store)}/name"
    objects.upload(url, [piece] * 14)
    assert objects.size(url) == 56 * MIB
    assert b"".join(objects.read(url)) == piece * 14


def test_an_upload_that_fails_leaves_the_old_object_and_no_other(store):
    url = f"{objects.folder_url(store)}/name"
    objects.upload(url, [b"old"])

    def pieces():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        objects.upload(url, pieces())
    assert b"".join(objects.read(url)) == b"old"
    assert listed(store) == ["name"]


def test_a_folder_is_named_so_that_every_process_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert objects.folder_url("here/") == f"file://{tmp_path}/here"
    assert objects.folder_url(f"file://{tmp_path}/here") == f"file://{tmp_path}/here"
    assert objects.folder_url("s3://bucket/prefix/") == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("store", "complaint"),
    [
        ("sftp://user:secret@host/folder", "holds a password"),
        ("filecache::s3://bucket", "chained URLs are not taken"),
        ("nosuch://bucket", "nosuch"),
    ],
)
def test_a_store_that_cannot_be_is_refused_in_one_line_without_a_password(database, store, complaint):
    with pytest.raises(StorageError, match=complaint) as caught:
        Blobs(database, store=store)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_one_line(database, s3):
    blobs = Blobs(database, store="s3://no-such-bucket/blobs", limit_bytes=1)
    with pytest.raises(StorageError, match=r"store s3://no-such-bucket/.* failed: .*bucket does not exist") as caught:
        blobs.put(b"content")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(database, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"store file://.* failed: .*Not a directory"):
        Blobs(database, store=str(tmp_path / "file"), limit_bytes=1).put(b"content")
