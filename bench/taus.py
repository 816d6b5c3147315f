"""Kendall's tau between two ways of ranking structures, and the bootstrap interval of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau

CONFIDENCE = 0.95


def tau(left: Any, right: Any) -> float:
    """Kendall's tau-b of two sequences of the same length."""
    return float(kendalltau(left, right).statistic)


def interval(drawn: Sequence[float] | np.ndarray[Any, Any]) -> list[float]:
    """Ends of the 95% interval of a figure that was computed for each bootstrap sample; undefined ones do not count."""
    return [float(np.nanquantile(drawn, part)) for part in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)]
