"""The best score after every trial, stored as the trials that improved it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def improvements(best: Sequence[float]) -> dict[str, list[Any]]:
    """Numbers of the trials that improved the best score, counted from 1, and the scores.

    Args:
        best: best score after every trial of a search; it never falls.
    """
    at = [index for index, score in enumerate(best) if index == 0 or score != best[index - 1]]
    return {"trial": [index + 1 for index in at], "score": [best[index] for index in at]}


def best_so_far(found: dict[str, list[Any]], trials: int) -> Floats:
    """(trials,) float64: the best score after every trial, from its improvements."""
    lengths = np.diff([*found["trial"], trials + 1])
    return np.repeat(np.asarray(found["score"], dtype=np.float64), lengths)
