"""A real browser, before the real command in a process of its own, over a real Postgres."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, sync_playwright

import mendstore
from bench.fleet.synthetic import Made, make_search

COMMAND = [sys.executable, "-m", "mendsearch", "dashboard"]
HOSTILE = "<img src=x onerror=\"document.title='taken'\"></script><script>document.title='taken'</script>"


@dataclass
class Dashboard:
    """A dashboard that runs.

    Attributes:
        address: where.
        process: its process.
        said: what it printed on stderr before its address.
    """

    address: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)


@contextmanager
def dashboard(url: str, *options: str, **environment: str) -> Iterator[Dashboard]:
    """Start the command on a free port, and end it."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("MENDSEARCH")}
    process = subprocess.Popen(
        [*COMMAND, url, "--port", "0", "--no-open", *options],
        env=known | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = [process.stderr.readline()] if "--host" in options and not environment else []
    try:
        address = process.stdout.readline().strip()
        name = socket.gethostname() if "0.0.0.0" in options else "localhost"
        if not address.startswith(f"http://{name}:"):
            process.kill()
            pytest.fail(f"{address}: {process.stderr.read()}")
        address = address.replace(name, "localhost", 1)  # which leads here whatever the name server knows
        yield Dashboard(address, process, said)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def new_database(server: mendstore.EmbeddedServer) -> str:
    """An empty database of its own on the server of the tests."""
    url, name = sa.make_url(server.start()), f"browser_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        # CI installs one; a user who runs the suite may have none
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Searches:
    """A dashboard over searches of every kind."""

    url: str
    address: str
    running: Made
    finished: Made
    hostile: Made


@pytest.fixture(scope="session")
def searches(server: mendstore.EmbeddedServer) -> Iterator[Searches]:
    url = new_database(server)
    finished = make_search(url, "finished", trials=120, workers=3, lost=0, groups=12, finished=True)
    log = f"RuntimeError: {HOSTILE}"
    hostile = make_search(
        url, HOSTILE, trials=90, done=60, groups=8, seconds=60, lease_s=7200, log=log, host=HOSTILE[:24]
    )
    running = make_search(url, "running", trials=400, done=200, workers=8, groups=12, seconds=60, lease_s=7200)
    with dashboard(url) as opened:
        yield Searches(url, opened.address, running, finished, hostile)


Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open a page; that it wrote no error into the console is seen to at the end."""
    errors: list[str] = []
    contexts = []

    def visit(address: str, width: int = 1440, scheme: str = "light", quiet: bool = True, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        if quiet:
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
