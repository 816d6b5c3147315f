"""Structures that need no search: error curves, and the rules that cut a network by them or by its filter ranking."""

from mendsearch.prepruning.curves import by_curves, error_curves
from mendsearch.prepruning.rules import cut, pre_prune

__all__ = ["by_curves", "cut", "error_curves", "pre_prune"]
