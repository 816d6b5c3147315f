"""The services of docker-compose.yml as processes of this machine: commands, entries, health checks."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import mendstore
from tests.integration.postgres.access import ask
from tests.integration.postgres.compose import PROFILES, Service, compose, secrets_in, tools
from tests.integration.postgres.fleet_server import MOUNT, SHIPPED, FleetServer, free_port
from tests.integration.postgres.searches import register, work

TOOLS = tools()
pytestmark = pytest.mark.skipif(not TOOLS, reason="no Compose is installed; apt-get install docker-compose")
SPEC = """\
name = "mine"
model = {name = "digits-resnet"}
data = {name = "digits"}
budget = {macs = 0.2}
train = {epochs = 1}
mend = {trials = 8}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


@pytest.fixture(scope="module")
def secrets(folder: Path) -> dict[str, str]:
    return secrets_in(folder / "secrets")


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    given = {"MENDSEARCH_SECRETS": str(folder / "secrets"), "MENDSEARCH_SEARCH": "mine"}
    return yaml.safe_load(compose(TOOLS[0], *PROFILES, "config", **given).stdout)


@pytest.fixture(scope="module")
def first_start(folder: Path, secrets: dict[str, str], document: dict[str, Any]) -> Iterator[FleetServer]:
    """Postgres by its own command, and what the official image runs when its data folder is new."""
    written = document["services"]["postgres"]
    server = FleetServer(folder / "server")
    server.passwords = {role: secrets[role] for role in server.passwords}
    server.start(written["command"])
    try:
        server.administer("-c", f"CREATE DATABASE {written['environment']['POSTGRES_DB']}", database="postgres")
        script = (SHIPPED / "first-start.sh").read_text()
        script = script.replace("/run/secrets", str(folder / "secrets")).replace(MOUNT, str(SHIPPED))
        (folder / "first-start.sh").write_text(script)
        environment = server.environment(database="postgres") | written["environment"]
        subprocess.run(["sh", folder / "first-start.sh"], env=environment, check=True)
        yield server
    finally:
        server.stop()


def test_postgres_starts_with_our_settings_and_passes_its_check(
    document: dict[str, Any], first_start: FleetServer, secrets: dict[str, str], tmp_path: Path
) -> None:
    postgres = Service(document, "postgres", tmp_path, secrets)
    assert postgres.definition["command"] == ["postgres", "-c", f"config_file={MOUNT}/postgresql.conf"]
    environment = first_start.environment()
    assert postgres.healthy(PATH=environment["PATH"], PGPORT=environment["PGPORT"])
    assert not postgres.healthy(PATH=environment["PATH"], PGPORT="1")
    for role in ("mend_owner", "mend_worker", "mend_viewer"):
        assert ask(first_start.url(role), "SELECT current_user") == role


def test_migrate_makes_the_tables_once_and_again(
    document: dict[str, Any], first_start: FleetServer, secrets: dict[str, str], tmp_path: Path
) -> None:
    migrate = Service(document, "migrate", tmp_path, secrets, f"127.0.0.1:{first_start.port}")
    assert migrate.run()[0] == 0
    version = ask(first_start.url("mend_viewer"), "SELECT version_num FROM mend_version")
    assert migrate.run() == (0, f"schema {version}\n")
    assert (
        ask(first_start.url("mend_viewer"), "SELECT tableowner FROM pg_tables WHERE tablename = 'mend_items'")
        == "mend_owner"
    )


def test_a_search_is_created_worked_interrupted_and_finished(
    document: dict[str, Any], first_start: FleetServer, secrets: dict[str, str], tmp_path: Path
) -> None:
    mendstore.upgrade(first_start.url("mend_owner"))
    address = f"127.0.0.1:{first_start.port}"
    worker = Service(document, "worker", tmp_path / "worker", secrets, address)
    (tmp_path / "mine.toml").write_text(SPEC)
    admin = Service(document, "admin", tmp_path / "admin", secrets, address)
    code, said = admin.run("mendsearch", "create", str(tmp_path / "mine.toml"))
    assert code == 0, said
    running = worker.start()
    deadline = time.monotonic() + 120
    while not worker.healthy():
        assert running.poll() is None
        assert time.monotonic() < deadline
    running.terminate()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM, said
    assert not worker.healthy()
    code, said = worker.run()
    assert code == 0, said
    (summary,) = mendstore.summaries(first_start.url("mend_viewer"), "mine")
    assert summary.trials.get("complete", 0) + summary.trials.get("pruned", 0) == 8
    first_start.stop()
    code, said = worker.run()
    first_start.start()
    assert code == 3, "the database is away: Docker starts it again"
    assert not [secret for secret in secrets.values() if secret in said]


def test_the_dashboard_asks_for_its_token_and_shows_the_search(
    document: dict[str, Any], first_start: FleetServer, secrets: dict[str, str], name: str, tmp_path: Path
) -> None:
    mendstore.upgrade(first_start.url("mend_owner"))
    work(first_start.url("mend_worker"), name, tmp_path / "spool", trials=2)
    port = free_port()
    dashboard = Service(document, "dashboard", tmp_path / "home", secrets, f"127.0.0.1:{first_start.port}", port)
    assert not dashboard.healthy()
    running = dashboard.start()
    deadline = time.monotonic() + 60
    while not dashboard.healthy():
        assert running.poll() is None
        assert time.monotonic() < deadline

    def get(path: str, **headers: str) -> str:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        ) as answer:
            return answer.read().decode()

    token = {"Authorization": f"Bearer {secrets['dashboard_token']}"}
    assert name in get("/api/studies", **token)
    for wrong in ({}, {"Authorization": f"Bearer {secrets['mend_viewer']}"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get("/api/studies", **wrong)
        refused.value.close()
        assert refused.value.code == 401
    running.terminate()
    _, said = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
    assert not [secret for secret in secrets.values() if secret in said]


@pytest.mark.parametrize("name", ["worker", "migrate", "dashboard"])
def test_the_entry_hands_each_service_its_own_secrets(
    document: dict[str, Any], secrets: dict[str, str], tmp_path: Path, name: str
) -> None:
    code, printed = Service(document, name, tmp_path, secrets).run("env")
    role = {"worker": "mend_worker", "migrate": "mend_owner", "dashboard": "mend_viewer"}[name]
    seen = {variable: value for variable, _, value in (line.partition("=") for line in printed.splitlines())}
    assert (code, seen["PGPASSWORD"]) == (0, secrets[role])
    assert seen.get("MENDSEARCH_DASHBOARD_TOKEN") == (secrets["dashboard_token"] if name == "dashboard" else None)
    shown = {secret for secret, value in secrets.items() if value in printed}
    assert shown - {"dashboard_token"} == {role}


def test_an_exit_code_that_another_start_would_repeat_is_none_to_docker(
    document: dict[str, Any], secrets: dict[str, str], tmp_path: Path
) -> None:
    worker = Service(document, "worker", tmp_path, secrets)
    for code in (0, 1, 2, 3, 4, 139):
        assert worker.run("sh", "-c", f"exit {code}") == (code, "")
    code, said = worker.run("mendsearch", "worker", "--no-such-option")
    assert code == 0
    assert "No such" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_the_worker_which_decides_how_it_ends(
    document: dict[str, Any], secrets: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    program = (
        "import signal, sys, time\n"
        "def end(number, frame):\n"
        "    time.sleep(0.5); print('gave back'); sys.exit(128 + number)\n"
        "signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGUSR1, end)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = Service(document, "worker", tmp_path, secrets).start("python", "-c", program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("gave back\n", "")
    assert process.returncode == 128 + (signal.SIGUSR1 if number == signal.SIGUSR1 else signal.SIGTERM)


def test_workers_of_one_machine_are_spread_over_its_gpus(
    document: dict[str, Any], secrets: dict[str, str], tmp_path: Path
) -> None:
    worker = Service(document, "worker", tmp_path, secrets)
    (tmp_path / "bin").mkdir()
    lister = tmp_path / "bin" / "nvidia-smi"  # what it prints is all that is asked of the driver
    lister.write_text("#!/bin/sh\nprintf 'GPU 0: A (UUID: GPU-a)\\nGPU 1: A (UUID: GPU-b)\\n'\n")
    lister.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{worker.environment['PATH']}"
    running: list[subprocess.Popen[str]] = []

    def start() -> str:
        process = worker.start("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 60", PATH=path)
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    assert [start() for _ in range(5)] == ["0", "1", "0", "1", "0"]
    ended = running.pop(1)
    ended.terminate()
    ended.communicate(timeout=30)
    assert start() == "1"
    for process in running:
        process.terminate()
        process.communicate(timeout=30)
    assert worker.run("sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-none}") == (0, "none\n")


def test_a_worker_is_healthy_while_it_renews(
    document: dict[str, Any], first_start: FleetServer, secrets: dict[str, str], name: str, tmp_path: Path
) -> None:
    worker = Service(document, "worker", tmp_path, secrets, f"127.0.0.1:{first_start.port}")
    assert not worker.healthy(), "nothing is migrated"
    mendstore.upgrade(first_start.url("mend_owner"))
    assert not worker.healthy(), "nobody has joined"
    database = mendstore.Database(first_start.url("mend_worker"))
    queue = mendstore.Queue(database, register(database, name, 1), "cpu", tmp_path / "spool")
    assert worker.healthy()
    ask(first_start.url("mend_owner"), "UPDATE mend_workers SET seen_at = seen_at - interval '2 minutes'")
    assert not worker.healthy(), "its lease ran out"
    queue.renew()
    assert worker.healthy()
    queue.leave("finished")
    assert not worker.healthy()
    database.close()
