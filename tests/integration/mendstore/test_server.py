"""The embedded server: a real Postgres, really killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from mendstore import EmbeddedServer, StorageError


def ask(url, statement):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


@pytest.fixture
def own(tmp_path):
    server = EmbeddedServer(tmp_path / ".mendsearch")
    yield server
    server.stop()


def test_it_starts_stops_and_starts_again_with_what_it_holds(own):
    assert not own.exists
    assert not own.stop()
    url = own.start()
    assert own.exists
    assert own.running
    assert url == own.start()
    ask(url, "CREATE TABLE kept (n integer)")
    assert own.stop()
    assert own.exists
    assert not own.running
    assert not own.stop()
    assert ask(own.start(), "SELECT count(*) FROM kept") == 0


def test_it_outlives_the_process_that_started_it(own):
    script = (
        "import os, signal, sys; from pathlib import Path; from mendstore import EmbeddedServer\n"
        "print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(own.folder)], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ask(ended.stdout.strip(), "SELECT 1") == 1


def test_it_recovers_after_its_own_kill(own):
    url = own.start()
    ask(url, "CREATE TABLE kept (n integer)")
    pid = int((own.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            time.sleep(0.1)
        except ProcessLookupError:
            break
    assert ask(own.start(), "SELECT count(*) FROM kept") == 0


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="does not start"):
        EmbeddedServer(tmp_path / "file" / ".mendsearch").start()


def test_a_server_that_has_written_half_of_its_file_does_not_run_yet(tmp_path):
    """Another command may look while it starts."""
    data = tmp_path / ".mendsearch" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    lines = ["-2297", str(data), "1700000000", "5432", "/tmp", "", "12345 67"]
    for count in range(len(lines) + 1):
        (data / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines[:count]))
        assert not EmbeddedServer(tmp_path / ".mendsearch").running
