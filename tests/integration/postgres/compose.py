"""docker-compose.yml, as Compose reads it, and its services as processes of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.postgres.fleet_server import ROOT, SHIPPED

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("MENDSEARCH", "PG", "CUDA"))}
PROFILES = ("--profile", "cpu", "--profile", "admin")


def tools() -> list[list[str]]:
    """Every Compose that is installed: the plugin of `docker`, and the command of its own."""
    found = [["docker-compose"]] if shutil.which("docker-compose") else []
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        found += [] if plugin.returncode else [["docker", "compose"]]
    return found


def compose(tool: Sequence[str], *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Compose on our file, with these variables and no others of ours."""
    return subprocess.run(
        [*tool, "--file", str(ROOT / "docker-compose.yml"), *arguments],
        env=CLEAN | variables,
        cwd=ROOT / "tests",  # an .env of the developer's is not read
        capture_output=True,
        text=True,
        check=False,
    )


def secrets_in(folder: Path) -> dict[str, str]:
    """The secrets that secrets.sh makes in a folder, by name."""
    subprocess.run([SHIPPED / "secrets.sh", folder], check=True, capture_output=True)
    return {path.name: path.read_text().strip() for path in folder.iterdir()}


class Service:
    """One service of the file, run here: no container, but its own command, entry, secrets and health check.

    Args:
        document: what `config` gives.
        name: of the service.
        folder: stands for its file system: `/run/secrets` and its home.
        secrets: all of them, by name; it gets those that it names.
        address: host and port of Postgres, in place of `postgres`.
        port: to listen on, in place of 8080.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        name: str,
        folder: Path,
        secrets: Mapping[str, str],
        address: str = "postgres",
        port: int = 8080,
    ) -> None:
        self.definition = document["services"][name]
        self._folder, self._address, self._port = folder, address, port
        (folder / "secrets").mkdir(parents=True)
        for secret in self.definition["secrets"]:
            target = Path(secret.get("target", secret["source"])).name
            (folder / "secrets" / target).write_text(secrets[secret["source"]] + "\n")
        given = {key: self._here(str(value)) for key, value in self.definition.get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}:{CLEAN['PATH']}"
        self.environment = CLEAN | given | {"PATH": path, "HOME": str(folder)}

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start its command, or another one, behind its entry."""
        words = [*self.definition["entrypoint"], *(command or self.definition["command"])]
        return subprocess.Popen(
            [self._here(word) for word in words],
            env=self.environment | environment,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Exit code and output of its command, or of another one, behind its entry."""
        process = self.start(*command, **environment)
        out, err = process.communicate(timeout=240)
        return process.returncode, out + err

    def healthy(self, **environment: str) -> bool:
        """What its health check says."""
        kind, *command = self.definition["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self._here(word) for word in command]
        ended = subprocess.run(words, env=self.environment | environment, capture_output=True, check=False, timeout=60)
        return ended.returncode == 0

    def _here(self, word: str) -> str:
        word = word.replace("$$", "$").replace("/run/secrets", str(self._folder / "secrets"))
        return word.replace("@postgres/", f"@{self._address}/").replace("8080", str(self._port))
