"""Digests of code: equal where the code means the same, so that scores of different workers compare."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SCORING = (
    "batches",
    "budget",
    "budget.costs",
    "budget.features",
    "budget.latency",
    "budget.limits",
    "budget.profile",
    "budget.projection",
    "coupling.copying",
    "coupling.graph",
    "coupling.grouping",
    "coupling.layout",
    "coupling.lifetimes",
    "coupling.nesting",
    "coupling.noise",
    "coupling.probe",
    "coupling.rules",
    "coupling.rules.attention",
    "coupling.rules.base",
    "coupling.rules.joins",
    "coupling.rules.layers",
    "coupling.rules.moves",
    "coupling.rules.norms",
    "coupling.rules.opaque",
    "coupling.rules.pointwise",
    "coupling.rules.products",
    "coupling.rules.reductions",
    "coupling.rules.windows",
    "coupling.samples",
    "coupling.silencing",
    "coupling.sizes",
    "coupling.slicing",
    "coupling.surgery",
    "coupling.trace",
    "coupling.tracing",
    "coupling.units",
    "holdout",
    "mending.judges",
    "mending.scoring",
    "mending.search",
    "mending.space",
    "mending.timings",
    "mending.weights",
    "models.registry",
    "models.resnet",
    "modes",
    "onednn",
    "outputs",
    "outputs.base",
    "outputs.bernoulli",
    "outputs.choosing",
    "outputs.comparison",
    "outputs.cosine",
    "outputs.detections",
    "outputs.given",
    "outputs.guessing",
    "outputs.kl",
    "outputs.leaves",
    "outputs.squared",
    "prepruning",
    "prepruning.curves",
    "prepruning.rules",
    "ranking",
    "ranking.base",
    "ranking.bn_scale",
    "ranking.filters",
    "ranking.gram",
    "ranking.random",
    "ranking.sensitivity",
    "ranking.statistics",
    "ranking.taylor",
    "reconstruction.branches",
    "reconstruction.channels",
    "reconstruction.moments",
    "reconstruction.norms",
    "reconstruction.patches",
    "reconstruction.regression",
    "reconstruction.rows",
    "reconstruction.sequence",
    "reconstruction.targets",
    "reconstruction.wide",
)
"""Modules of this package that a score depends on: all that `ROOTS` import, directly or not, less `UNRELATED`.

A sampler is not among them: it chooses which candidates are scored, not what a score is.
"""
ROOTS = ("mending.search", "models.registry")
UNRELATED = {
    "config": "the values of a spec travel with the search",
    "errors": "an error is no score",
    "files": "a latency profile that it reads travels with the search, and its model is in the fingerprint",
    "importing": "the user's code that it finds has a digest of its own",
    "progress": "progress is for people to read",
}
"""Modules, with those inside them, that the scoring code imports and no score depends on, with the reason."""


def scoring_digest(package: Path = PACKAGE) -> str:
    """Digest of the code in `SCORING`; comments, docstrings, and the layout of the text do not change it.

    Each module is read as a syntax tree, without its bare strings (docstrings, and those below a constant), and written
    out in a form that is the same in every version of Python.

    Args:
        package: folder of the package.
    """
    digest = hashlib.sha256()
    for name in SCORING:
        path = package.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        digest.update(f"{name}\0{_module(path.read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()[:12]


def source_digest(source: Path) -> str:
    """Digest of every byte of a module, or of all modules of a package: any change of a user's code may matter."""
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
        digest.update(str(file.relative_to(source.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def _module(text: str) -> str:
    """The syntax tree of a module as text."""
    return _written(ast.parse(text))


def _written(node: object) -> str:
    """A syntax tree as text. Fields that are empty are left out: newer versions of Python have more of them."""
    if isinstance(node, ast.AST):
        fields = ((name, _written(value)) for name, value in ast.iter_fields(node) if value is not None)
        return f"{type(node).__name__}({','.join(f'{name}={value}' for name, value in fields if value != '[]')})"
    if isinstance(node, list):
        return f"[{','.join(_written(item) for item in node if not _is_bare_string(item))}]"
    return ascii(node)


def _is_bare_string(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
