"""docker-compose.yml: what Compose makes of it; tests/integration/postgres/test_services.py runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.postgres.compose import PROFILES, compose, secrets_in, tools
from tests.integration.postgres.fleet_server import ROOT

TOOLS = tools()
pytestmark = pytest.mark.skipif(not TOOLS, reason="no Compose is installed; apt-get install docker-compose")
VARIABLES = ("MENDSEARCH_SECRETS", "MENDSEARCH_SEARCH")
OURS = ("worker", "migrate", "dashboard")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


@pytest.fixture(scope="module")
def secrets(folder: Path) -> dict[str, str]:
    return secrets_in(folder / "secrets")


@pytest.fixture(params=TOOLS, ids="-".join)
def config(request: pytest.FixtureRequest, folder: Path, secrets: dict[str, str]) -> str:
    given = {"MENDSEARCH_SECRETS": str(folder / "secrets"), "MENDSEARCH_SEARCH": "mine"}
    ended = compose(request.param, *PROFILES, "config", **given)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


@pytest.fixture
def document(config: str) -> dict[str, Any]:
    return yaml.safe_load(config)


@pytest.mark.parametrize("tool", TOOLS, ids="-".join)
@pytest.mark.parametrize("missing", VARIABLES)
def test_it_is_refused_where_a_variable_is_missing(tool: list[str], missing: str) -> None:
    given = {variable: "given" for variable in VARIABLES if variable != missing}
    for variables in (given, given | {missing: ""}):
        ended = compose(tool, "config", **variables)
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert ended.stderr.count("\n") == 1
        assert f"{missing}=" in ended.stderr


def test_only_the_dashboard_is_published_and_only_on_this_machine(document: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in document["services"].items() if "ports" in service}
    assert list(published) == ["dashboard"]
    (port,) = published["dashboard"]
    assert port in ("127.0.0.1:8080:8080/tcp",) or (port["host_ip"], port["published"]) == ("127.0.0.1", "8080")
    assert list(document["services"]["postgres"]["networks"]) == ["database"]
    assert document["networks"]["database"]["internal"] is True


def test_no_secret_is_shown_nor_has_a_default(config: str, document: dict[str, Any], secrets: dict[str, str]) -> None:
    assert len(secrets) == len(set(secrets.values())) == 5
    assert not [name for name, secret in secrets.items() if secret in config]
    assert set(document["secrets"]) == set(secrets)
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.findall(r"\b\w*(?:PASSWORD|TOKEN)\w*:?[=-]\S", text)
    assert "trust" not in config.lower()


def test_services_are_checked_restarted_and_without_privileges(document: dict[str, Any]) -> None:
    services = document["services"]
    assert {"postgres", *OURS} <= set(services)
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        is_checked = service["healthcheck"].get("test", ["NONE"])[0] == "CMD"
        assert is_checked == (name in ("postgres", "worker", "worker-cpu", "dashboard")), name
        assert "privileged" not in service, name
    restarts = {name: services[name]["restart"] for name in ("postgres", *OURS)}
    assert restarts == {
        "postgres": "unless-stopped", "worker": "on-failure", "migrate": "no", "dashboard": "unless-stopped",
    }  # fmt: skip
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert "gpu" in device["capabilities"]
    assert "container_name" not in services["worker"], "it would forbid --scale"
    assert services["worker"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


@pytest.mark.parametrize("path", ["Dockerfile", "dashboards/Dockerfile"])
def test_images_are_pinned_run_as_no_root_and_find_their_files(path: str, document: dict[str, Any]) -> None:
    lines = (ROOT / path).read_text().replace("\\\n", "").splitlines()
    (base,) = (line.removeprefix("ARG PYTHON=") for line in lines if line.startswith("ARG PYTHON="))
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert {line.split()[1] for line in lines if line.startswith("FROM")} == {"${PYTHON}"}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", document["services"]["postgres"]["image"])
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    for sources in copied:
        assert kept.issuperset(sources)
        assert all((ROOT / source).exists() for source in sources)
    assert ("torch" in path + " ".join(line for line in lines if "pip install" in line)) == (path == "Dockerfile")
