"""The digest of the scoring code covers what a score depends on, and nothing else."""

import shutil

import grimp
import pytest

from mendsearch.fleet.digests import PACKAGE, ROOTS, SCORING, UNRELATED, scoring_digest


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be changed."""
    return shutil.copytree(PACKAGE, tmp_path / "mendsearch", ignore=shutil.ignore_patterns("__pycache__"))


def test_the_list_is_all_that_the_scoring_code_imports():
    graph = grimp.build_graph("mendsearch")
    closure = set()
    for root in ROOTS:
        closure |= {f"mendsearch.{root}"} | graph.find_upstream_modules(f"mendsearch.{root}")
    found = {name.removeprefix("mendsearch.") for name in closure}
    assert {name for name in found if name not in UNRELATED and name.partition(".")[0] not in UNRELATED} == set(SCORING)
    assert {f"mendsearch.{name}" for name in UNRELATED} <= closure
    assert list(SCORING) == sorted(SCORING)


@pytest.mark.parametrize("module", SCORING)
def test_a_change_of_code_that_a_score_depends_on_changes_it(package, module):
    path = package.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(path.read_text() + "\nCHANGED = 1\n")
    assert scoring_digest(package) != scoring_digest()


@pytest.mark.parametrize(
    "module", ["study/fleet.py", "study/description.py", "mending/sampler.py", "pipeline/stages.py", "cli/runs.py"]
)
def test_a_change_of_any_other_code_does_not(package, module):
    path = package / module
    path.write_text(path.read_text() + "\nCHANGED = 1\n")
    assert scoring_digest(package) == scoring_digest()


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ('"""Score."""\nX = 1\n', '"""Scores."""\n\n\nX = 1  # one\n', True),
        ('def f():\n    """One."""\n    return 1\n', 'def f():\n    """Two."""\n    return 1\n', True),
        ('X = 1\n"""One."""\n', 'X = 1\n"""Two."""\n', True),
        ("X = f(1, 2)\n", "X = f(\n    1,\n    2,\n)\n", True),
        ("X = 1\n", "X = 2\n", False),
        ("X = 1\n", "X = 1.0\n", False),
        ("X = a + b\n", "X = a - b\n", False),
        ("X = None\n", "X = False\n", False),
        ("X = 'one'\n", "X = 'two'\n", False),
        ("f(a, b)\n", "f([a, b])\n", False),
        ("def f(a, /, b): ...\n", "def f(a, b): ...\n", False),
        ("def f(a, *, b=1): ...\n", "def f(a, b=1): ...\n", False),
    ],
)
def test_what_is_read_by_people_alone_does_not_count(package, before, after, same):
    path, digests = package / "modes.py", []
    for text in (before, after):
        path.write_text(text)
        digests.append(scoring_digest(package))
    assert (digests[0] == digests[1]) == same
