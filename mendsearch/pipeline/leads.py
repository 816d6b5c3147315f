"""By how much the exported network is ahead of the others: a paired test over the validation items."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import isfinite
from pathlib import Path

from torch import Tensor

import mendstore
from mendsearch.fleet.tuner import Tuner
from mendsearch.mending.ladder import compared, lead
from mendsearch.study.fleet import counts_in
from mendstore.blobs import Blobs
from mendstore.records import Lead


def leads(
    tuner: Tuner, blobs: Blobs, ladder: mendstore.Ladder, chosen: str, rungs: Mapping[str, int], path: Path
) -> dict[str, Lead]:
    """Compare a finalist with each other one.

    Args:
        tuner: what builds and measures finalists.
        blobs: where their weights are.
        ladder: the finalists and their fine-tunings.
        chosen: key of the finalist that leads.
        rungs: by key, how many rungs a finalist has behind it as it is kept.
        path: file to write weights to.

    Returns:
        By key of the other finalists; without those whose figures are not finite.
    """
    by_key = {finalist.key: finalist for finalist in ladder.distinct}

    @cache
    def items(key: str, rung: int) -> Tensor:
        """(N,) float64, values of the validation items after so many rungs."""
        if rung:
            weights = by_key[key].done[rung - 1].weights
            assert weights is not None  # of every fine-tuning that is done
            blobs.save(weights, path)
        return tuner.measure.judged(tuner.model(counts_in(key), path if rung else None))[1]

    found = {}
    for key in by_key:
        if key != chosen:
            ours, theirs = compared(rungs[chosen], rungs[key])
            value, error = lead(items(chosen, ours), items(key, theirs))
            both = min(ours, theirs)
            if isfinite(value):  # outputs of both were finite
                found[key] = Lead(value=value, error=error, part=ladder.parts[both - 1] if both else 0.0)
    return found
