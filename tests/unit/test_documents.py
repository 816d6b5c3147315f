"""The pages that are written by programs are up to date, and the site reads what the repository reads."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.exceptions import PluginError

import mendsearch

DOCS = Path("docs")


@pytest.fixture(scope="module")
def hooks():
    found = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_page_of_the_command_line_is_up_to_date():
    made = subprocess.run([sys.executable, "docs/make_cli.py", "--print"], capture_output=True, text=True, check=True)
    assert made.stdout == (DOCS / "cli.md").read_text(encoding="utf-8")


def test_the_page_of_the_api_has_every_public_name():
    named = re.findall(r"^::: mendsearch\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert set(mendsearch.__all__) == set(named)


def test_every_page_is_in_the_navigation():
    config = Path("mkdocs.yml").read_text()
    for page in DOCS.rglob("*.md"):
        assert str(page.relative_to(DOCS)) in config


def test_a_page_that_lies_elsewhere_links_as_pages_of_docs_do(hooks):
    given = "[a](docs/a.md#b) [c](storage/postgres) ![d](docs/e.png) [f](https://g)"
    assert hooks.moved(given, "") == "[a](a.md#b) [c](../storage/postgres) ![d](e.png) [f](https://g)"
    assert (
        hooks.moved("[a](../../docs/a.md) [b](x.sql)", "storage/postgres") == "[a](a.md) [b](../storage/postgres/x.sql)"
    )


def test_links_that_leave_docs_become_paths(hooks):
    assert hooks.inside("[the tests](../tests)", "") == "the tests (`tests`)"
    assert hooks.inside("[roles](../../storage/postgres) [home](../../README.md#a)", "results") == (
        "[roles](../postgres.md) [home](../index.md#a)"
    )
    assert hooks.inside("[ladder](../adr/x.md)", "results") == "[ladder](../adr/x.md)"
    with pytest.raises(PluginError, match=r"broken link: got \.\./nowhere"):
        hooks.inside("[x](../nowhere)", "")


def test_the_tests_that_the_comparison_names_are_there():
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "compared.md").read_text(encoding="utf-8")))
    written = {
        name for path in Path("tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named
    assert not named - written


def test_the_metrics_of_the_alerts_are_those_that_are_served():
    alerts = set(re.findall(r"mendsearch_\w+", (DOCS / "operating.md").read_text(encoding="utf-8")))
    served = Path("dashboards/mendview/server/metrics.py").read_text(encoding="utf-8")
    assert alerts
    assert all(f'"{name}"' in served or f'"{name.removeprefix("mendsearch_")}"' in served for name in alerts)
