"""`launch`, and its supervisor in a process of its own: signals, kills, and passwords that nobody sees."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import mendstore
from tests.acceptance.cli import COMMAND, ENVIRONMENT, mendsearch

WORKER = """
import os, signal, sys, time
def end(number, frame):
    print("given back upon", number, flush=True)
    sys.exit(128 + number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, end)
print("at work", os.getpid(), os.environ["MENDSEARCH_STORAGE"].count("sesame"), flush=True)
time.sleep(100)
"""
SUPERVISOR = """
import os, sys
from pathlib import Path
from mendsearch.fleet.launch import Supervisor, cpu_slots

def on_exit(pid, code, tail):
    print("end of", pid, code, tail.splitlines()[-1:], flush=True)

command = [sys.executable, "-I", "-S", "worker.py"]
supervisor = Supervisor(command, dict(os.environ), cpu_slots(2), Path("logs"), on_exit, say=lambda line: print(line, flush=True))
sys.exit(supervisor.run())
"""
SECRET_URL = "postgresql://worker:open-sesame@db.example/searches"


@pytest.fixture
def supervisor(tmp_path):
    """A supervisor of two workers that are at work, in a process of its own."""
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "supervisor.py").write_text(SUPERVISOR)
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "supervisor.py"],
            cwd=tmp_path,
            env=ENVIRONMENT | {"MENDSEARCH_STORAGE": SECRET_URL, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: len(at_work(tmp_path)) == 2, tmp_path)
        yield process
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not any(alive(pid) for pid in at_work(tmp_path)), tmp_path)


def at_work(folder):
    """Process ids of all workers that ever began."""
    lines = [line for path in (folder / "logs").glob("*.log") for line in path.read_text().splitlines()]
    return [int(line.split()[2]) for line in lines if line.startswith("at work")]


def given_back(folder, number):
    return sum(path.read_text().count(f"given back upon {number:d}") for path in (folder / "logs").glob("*.log"))


def command_lines():
    """Of all processes, as every user of the machine sees them."""
    return subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(holds, folder, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, (folder / "said").read_text()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_makes_all_workers_give_back_their_work(supervisor, tmp_path, number):
    supervisor.send_signal(number)
    assert supervisor.wait(timeout=30) == 128 + number
    assert given_back(tmp_path, number) == 2
    assert not any(alive(pid) for pid in at_work(tmp_path))
    assert (tmp_path / "said").read_text().count("work given back") == 2


def test_ctrl_c_reaches_each_worker_once(tmp_path, supervisor):
    """A terminal sends it to the process group of the supervisor, in which the workers are not."""
    workers = at_work(tmp_path)
    assert all(os.getpgid(pid) == pid for pid in workers)
    assert os.getpgid(supervisor.pid) not in workers


def test_a_worker_that_is_killed_is_reported_and_replaced(supervisor, tmp_path):
    first = at_work(tmp_path)[0]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(at_work(tmp_path)) == 3, tmp_path)
    said = (tmp_path / "said").read_text()
    assert f"end of {first} -9 ['at work {first} 1']" in said
    assert "killed by SIGKILL" in said
    assert "failure 1 in a row, starts again in" in said
    assert supervisor.poll() is None
    assert sum(alive(pid) for pid in at_work(tmp_path)) == 2


def test_workers_end_with_a_supervisor_that_is_killed(supervisor, tmp_path):
    supervisor.kill()
    wait_for(lambda: not any(alive(pid) for pid in at_work(tmp_path)), tmp_path)
    assert given_back(tmp_path, signal.SIGTERM) == 2


def test_others_do_not_see_the_password(supervisor, tmp_path):
    words = command_lines()
    assert words.count("worker.py") >= 2
    assert "sesame" not in words
    supervisor.terminate()
    supervisor.wait(timeout=30)
    assert "sesame" not in (tmp_path / "said").read_text()
    assert not any("sesame" in path.read_text() for path in (tmp_path / "logs").iterdir())


def test_a_refused_worker_ends_the_command_with_2_and_the_password_is_not_on_show(tmp_path, storage, name):
    url = storage.replace("postgres@", "postgres:open-sesame@")
    assert "sesame" in url
    mendstore.upgrade(url)
    database = mendstore.Database(url)
    nothing = {"distributions": {}, "fingerprint": "", "spec": {}, "versions": {}}
    mendstore.register(database, name, trials=1, starts=[], **nothing)
    database.close()
    process = subprocess.Popen(
        [*COMMAND, "launch", url, name, "--workers", "1"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        said, words = process.stderr.readline(), ""
        while process.poll() is None:
            words += command_lines()
            time.sleep(0.05)
        said += process.stderr.read()
    assert process.returncode == 2, said
    assert said.count("started") == 1
    assert "refused" in said
    assert "was made for one process" in said
    assert f"-m mendsearch worker {name}" in words
    assert f"launch {name} --workers 1" in words
    logs = list((tmp_path / ".mendsearch" / "logs" / name).iterdir())
    assert len(logs) == 1
    assert "sesame" not in words + said + logs[0].read_text()


def test_a_search_that_is_not_there_starts_no_worker(tmp_path, storage, name):
    mendstore.upgrade(storage)
    ended = mendsearch("launch", storage, name, "--workers", "2", cwd=tmp_path)
    assert ended.returncode == 2
    assert f"no search `{name}`" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--workers", "2"], "MENDSEARCH_STORAGE=postgresql+psycopg2://worker@db.example/searches"),
        (["--gpus", "8", "--backend", "slurm", "--time", "60"], "#SBATCH --array=0-7"),
        (["--gpus", "8", "--backend", "kubernetes", "--image", "mine:1"], "completionMode: Indexed"),
    ],
)
def test_a_dry_run_starts_nothing_and_shows_no_password(tmp_path, options, shown):
    ended = mendsearch("launch", "mine", *options, "--dry-run", cwd=tmp_path, storage=SECRET_URL)
    assert ended.returncode == 0, ended.stderr
    assert shown in ended.stdout
    assert "mine" in ended.stdout
    assert "sesame" not in ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--workers", "2"], "got no storage URL"),
        ([SECRET_URL, "--workers", "2"], "got no name of a search"),
        ([SECRET_URL, "mine", "--workers", "2", "--partition", "p"], "--partition does not apply"),
        (["mysql://u:open-sesame@h/d", "mine", "--workers", "2"], "expected postgresql://"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(tmp_path, arguments, message):
    ended = mendsearch("launch", *arguments, cwd=tmp_path)
    assert message in ended.stderr
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "sesame" not in ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []
