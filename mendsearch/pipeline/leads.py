"""By how much the exported network is ahead of the others: a paired test over the validation items."""

from __future__ import annotations

from functools import cache
from math import isfinite
from pathlib import Path

from torch import Tensor

import mendstore
from mendsearch.fleet.tuner import Tuner
from mendsearch.mending.ladder import lead
from mendsearch.study.fleet import counts_in
from mendstore.blobs import Blobs
from mendstore.records import Lead


def leads(tuner: Tuner, blobs: Blobs, ladder: mendstore.Ladder, chosen: str, path: Path) -> dict[str, Lead]:
    """Compare a finalist with each other one, at the last rung that both reached.

    Args:
        tuner: what builds and measures finalists.
        blobs: where their weights are.
        ladder: the finalists and their fine-tunings.
        chosen: name of the finalist that leads.
        path: file to write weights to.

    Returns:
        By key of the other finalists; without those whose figures are not finite.
    """
    by_key = {finalist.key: finalist for finalist in ladder.distinct}
    best = next(finalist for finalist in ladder.finalists if finalist.name == chosen)

    @cache
    def items(key: str, rung: int) -> Tensor:
        """(N,) float64, values of the validation items after so many rungs."""
        if rung:
            weights = by_key[key].done[rung - 1].weights
            assert weights is not None  # of every fine-tuning that is done
            blobs.save(weights, path)
        return tuner.measure.judged(tuner.model(counts_in(key), path if rung else None))[1]

    found = {}
    for key, other in by_key.items():
        if key != best.key:
            rung = min(len(best.done), len(other.done))
            value, error = lead(items(best.key, rung), items(key, rung))
            if isfinite(value):  # outputs of both were finite
                found[key] = Lead(value=value, error=error, part=ladder.parts[rung - 1] if rung else 0.0)
    return found
