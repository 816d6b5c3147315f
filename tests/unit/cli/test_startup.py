"""A command that only reads starts at once: what takes long to import is imported by those that need it."""

import subprocess
import sys

SLOW = ("torch", "optuna", "alembic", "fsspec", "numpy", "plotly", "optuna_dashboard")
SLOW_BESIDE_TORCH = ("scipy.optimize", "scipy.stats", "torch._dynamo", "torchvision", "sklearn")
COUPLING = """
import mendsearch.pipeline.stages
import torch
from mendsearch.coupling.graph import find_coupling
from mendsearch.models.resnet import ResNet
find_coupling(ResNet(depth=8, width=4), torch.zeros(2, 3, 8, 8))
"""


def imported(script, names):
    """Those of `names` that a script imports."""
    script += f"\nimport sys; print(*(name for name in {names!r} if name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_nothing_slow_is_imported_before_a_verb_needs_it():
    assert imported("import mendsearch.cli", SLOW) == []


def test_a_search_is_prepared_without_what_only_some_networks_need():
    assert imported(COUPLING, SLOW_BESIDE_TORCH) == []
