"""What import-linter cannot see: it knows optuna as one module."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mendsearch"
ALGORITHM = ("budget", "coupling", "mending", "prepruning", "ranking", "reconstruction")
STORED = {"create_study", "load_study", "delete_study", "copy_study", "storages", "optuna.storages"}


def imported_from_optuna(path: Path) -> set[str]:
    """What a module imports of Optuna, and what it takes from it as an attribute."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("optuna")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optuna"):
            found |= {str(node.module), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "optuna":
            found.add(node.attr)
    return found


def test_the_check_sees_what_a_study_is_made_with():
    assert imported_from_optuna(PACKAGE / "study" / "running.py") & STORED


@pytest.mark.parametrize("room", ALGORITHM)
def test_the_algorithm_makes_and_loads_no_study(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        found = imported_from_optuna(path)
        assert not found & STORED, path
        assert not any(name.startswith("optuna.storages") for name in found), path
