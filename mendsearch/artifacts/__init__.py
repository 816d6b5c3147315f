"""Pruned networks outside of a search: in a folder, as a structure, with their controls."""

from mendsearch.artifacts.pruned import Control, Pruned
from mendsearch.artifacts.saving import apply, load, save
from mendsearch.artifacts.structure import PrunedStructure

__all__ = ["Control", "Pruned", "PrunedStructure", "apply", "load", "save"]
