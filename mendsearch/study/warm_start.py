"""What an earlier search found, as starting structures of another one of the same network."""

from __future__ import annotations

import math

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.errors import UsageError
from mendsearch.mending.distance import spread
from mendsearch.study.loop import KEEP_COUNTS

MOST = 8
"""Structures that are taken over."""
POOL = 24
"""Best structures among which those that differ are looked for."""


def warm_starts(study: optuna.Study, coupling: Coupling) -> list[Ints]:
    """The best structures of an earlier study that differ, best first.

    Args:
        study: study of an earlier search, of any budget.
        coupling: coupling groups of the network.

    Returns:
        keep counts, (G,) int64 each, `MOST` of them at the most, on the earlier budget.

    Raises:
        UsageError: the study has no structures, or they are those of another network.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = sorted((trial for trial in complete if KEEP_COUNTS in trial.user_attrs), key=_score, reverse=True)
    if not best:
        raise UsageError(f"warm start: study `{study.study_name}` has no scored structure to start from")
    return spread([_counts(trial, study, coupling) for trial in best[:POOL]], MOST)


def _counts(trial: FrozenTrial, study: optuna.Study, coupling: Coupling) -> Ints:
    """(G,) int64, keep counts of a trial of the same network."""
    kept, widths = trial.user_attrs[KEEP_COUNTS], coupling.keep_counts(coupling.widths)
    same = isinstance(kept, dict) and kept.keys() == widths.keys()
    if not same or not all(type(kept[name]) is int and 0 < kept[name] <= width for name, width in widths.items()):
        raise UsageError(
            f"warm start: study `{study.study_name}` has other coupling groups than this search; expected one of the "
            f"same network, with the same layers excluded"
        )
    return np.array([kept[name] for name in widths], dtype=np.int64)


def _score(trial: FrozenTrial) -> float:
    return trial.value if trial.value is not None and math.isfinite(trial.value) else -math.inf
