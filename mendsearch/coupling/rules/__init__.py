"""What each ATen operator does with units, a kind of operator a file.

A rule is called with the tracer, the operator, its arguments and its output, once the operator has run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mendsearch.coupling.rules import attention, joins, layers, moves, norms, pointwise, products, reductions, windows
from mendsearch.coupling.rules.base import RULES
from mendsearch.coupling.rules.opaque import opaque
from mendsearch.coupling.rules.pointwise import elementwise

__all__ = ["attention", "joins", "layers", "moves", "norms", "products", "reductions", "rule_of", "windows"]


def rule_of(func: Any) -> Callable[..., None]:
    """The rule of an operator; that of what is not understood where it has none."""
    name = func.overloadpacket.__name__
    if name in RULES:
        return RULES[name]
    if torch.Tag.pointwise in func.tags or name in pointwise.ELEMENTWISE:
        return elementwise
    return opaque
