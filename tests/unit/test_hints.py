"""Commands in messages are made by `mendstore.command`, so that they hold the URL and are quoted; none is written out."""

import ast
import re
from pathlib import Path

import pytest

import mendstore
from mendsearch.config import parse_spec
from mendsearch.fleet.compatibility import imported_packages
from mendsearch.fleet.tuner import imported_by_workers
from mendstore.commands import launch_command

ROOT = Path(__file__).parents[2]
VERBS = "create|run|device|launch|resize|worker|resume|stop|delete|gc|status|report|dashboard|export|db (start|stop|upgrade)"
WRITTEN_OUT = re.compile(rf"mendsearch ({VERBS})\b")
HELP = {
    "mendsearch/cli/target.py": "the form of a command, with URL and NAME for what the user has to give",
}
"""Files whose texts may name a command in its general form, with the reason."""


def sources():
    for folder in ("mendsearch", "storage/mendstore", "dashboards/mendview"):
        yield from (path for path in (ROOT / folder).rglob("*.py"))


def texts(path):
    """Strings of a module that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sources()])
def test_no_message_writes_a_command_out(path):
    if str(path.relative_to(ROOT)) in HELP:
        return
    assert [(line, text) for line, text in texts(path) if WRITTEN_OUT.search(text)] == []


def test_no_page_writes_a_command_out():
    pages = (ROOT / "dashboards" / "mendview" / "templates").iterdir()
    assert [path.name for path in pages if "<code>mendsearch" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (None, "mendsearch resume 'a b' --trials +2"),
        ("postgresql://me:sesame@h/db", "mendsearch resume postgresql://me@h/db 'a b' --trials +2"),
        (
            "postgresql:///db?host=/x&password=sesame",
            "mendsearch resume 'postgresql:///db?host=%2Fx' 'a b' --trials +2",
        ),
    ],
)
def test_a_command_is_quoted_and_holds_no_password(url, line):
    assert mendstore.command("resume", url, "a b", "--trials", "+2") == line


def test_workers_are_allowed_the_packages_that_a_search_imports():
    spec = {"model": {"name": "mine.net:make"}, "mend": {"score": "other:metric"}}
    assert launch_command("postgresql://h/db", "x", spec) == (
        "mendsearch launch postgresql://h/db x --workers 2 --allow mine --allow other"
    )
    assert "--allow" not in launch_command("postgresql://h/db", "x", {"model": {"name": "torchvision:resnet18"}})


@pytest.mark.parametrize("epochs", [0, 1])
def test_workers_are_allowed_what_fine_tuning_imports_and_told_where_the_data_is(epochs):
    spec = parse_spec(
        {
            "name": "x",
            "model": {"name": "net:make"},
            "data": {"name": "items:load", "batch": "feeding:batch", "path": "/data"},
            "budget": {"macs": 0.4},
            "finetune": {"loss": "losses:loss", "epochs": epochs},
        },
        origin="here",
    )
    allow = "".join(f" --allow {package}" for package in imported_packages(*imported_by_workers(spec)))
    line = launch_command("postgresql://h/db", "x", spec.model_dump(mode="json"), Path("/my data"))
    assert line == f"mendsearch launch postgresql://h/db x --workers 2{allow} --data '/my data'"
    assert allow.count("--allow") == (4 if epochs else 1)


def test_the_embedded_database_of_this_folder_is_found_without_its_url(inside):
    server = mendstore.EmbeddedServer(mendstore.EMBEDDED)
    url = server.start()
    try:
        assert mendstore.command("stop", url, "x") == "mendsearch stop x"
    finally:
        server.stop()
