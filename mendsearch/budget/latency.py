"""The time of any candidate, from a model that was fitted to measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mendsearch.budget.features import STEPS, Features, Floats, Grouping
from mendsearch.coupling.layout import Ints

FOLDS = 5
RIDGES = (0.03, 0.3, 1.0)
"""Strengths of the pull towards zero, relative to the mean square of the features."""
GROUPINGS: tuple[Grouping, ...] = ("kind", "layer")


CACHES = tuple(factor * 2**power for power in range(20, 26) for factor in (1.0, 1.5))
"""Values of weights that a cache may hold, 4 to 190 MiB in single precision; which of them it is, the fit finds out."""
GAIN = 0.95
"""Part of the error that may be left at most, for a cache to be believed in."""


@dataclass(frozen=True)
class Form:
    """Choices of a fit.

    Attributes:
        by: see `Features.sums`.
        step: see `Features.blocks`.
        ridge: strength of the pull towards zero.
        cache: see `Features.missed`; None where none is seen.
    """

    by: Grouping
    step: int
    ridge: float
    cache: float | None = None


@dataclass(frozen=True)
class Cache:
    """What keeps weights from one pass to the next.

    Attributes:
        values: that it holds.
        ms: milliseconds for each value of weights that it does not hold.
    """

    values: float
    ms: float


class LatencyModel:
    """Milliseconds of any candidate: a constant, a coefficient times each feature of each operation, and a cache's.

    Args:
        features: of the network.
        step: number of channels that the device computes together.
        coefficients: (1 + 6 P,), milliseconds a call, then by feature; none is negative.
        dense_ms: milliseconds of the dense network as measured; a budget may be a fraction of it. None where unknown.
        cache: what keeps weights from pass to pass; None where none was seen.
    """

    def __init__(
        self,
        features: Features,
        step: int,
        coefficients: Sequence[float],
        dense_ms: float | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.features, self.step, self.dense_ms, self.cache = features, step, dense_ms, cache
        self.coefficients = np.asarray(coefficients, dtype=np.float64)

    def ms(self, counts: Ints) -> Floats:
        """Milliseconds of candidates: (..., G) int64 to (...) float64."""
        found: Floats = self.features.blocks(counts, self.step) @ self.coefficients[1:] + self.coefficients[0]
        if self.cache is not None:
            found = found + self.cache.ms * self.features.missed(counts, self.cache.values).sum(axis=-1)
        return found

    def by_operation(self, counts: Ints) -> Floats:
        """What each operation adds to that, without the constant: (..., G) int64 to (..., P) float64, milliseconds."""
        parts = self.features.blocks(counts, self.step) * self.coefficients[1:]
        found: Floats = parts.reshape(*parts.shape[:-1], 6, -1).sum(axis=-2)
        if self.cache is not None:
            found = found + self.cache.ms * self.features.missed(counts, self.cache.values)
        return found


def fit(features: Features, counts: Ints, ms: Floats) -> tuple[LatencyModel, Form]:
    """Fit a model to whole candidates, in the form that predicts best those it has not seen (cross-validation).

    Coefficients are not negative, and errors are relative: 1 ms of 10 counts as 0.1 ms of 1.

    Args:
        features: of the network.
        counts: (N, G) int64, candidates that were measured; ten or more.
        ms: (N,) float64, their times.
    """
    forms = [Form(by, step, ridge) for step in STEPS for by in GROUPINGS for ridge in RIDGES]
    errors = {form: _unseen_error(features, form, counts, ms) for form in forms}
    best = min(errors, key=lambda form: errors[form])
    weights = float(features.missed(counts, 1.0).sum(axis=-1).max())
    forms = [
        replace(best, by=by, ridge=ridge, cache=cache)
        for cache in CACHES if cache < weights for by in GROUPINGS for ridge in RIDGES
    ]  # fmt: skip
    errors |= {form: _unseen_error(features, form, counts, ms) / GAIN for form in forms}
    best = min(errors, key=lambda form: errors[form])
    return fit_in(features, best, counts, ms), best


def fit_in(features: Features, form: Form, counts: Ints, ms: Floats) -> LatencyModel:
    """As `fit`, in a given form."""
    solved = _solve(_columns(features, form, counts), ms, form.ridge)
    cache = None if form.cache is None else Cache(form.cache, float(solved[-1]))
    summed = solved[1:] if cache is None else solved[1:-1]
    return LatencyModel(features, form.step, [solved[0], *(features.sums(form.by) @ summed)], cache=cache)


def _unseen_error(features: Features, form: Form, counts: Ints, ms: Floats) -> float:
    """Mean relative error on candidates that a fit has not seen, by cross-validation."""
    columns, folds, errors = _columns(features, form, counts), np.arange(len(ms)) % FOLDS, np.zeros(len(ms))
    for fold in range(FOLDS):
        seen = folds != fold
        guess = columns[~seen] @ _solve(columns[seen], ms[seen], form.ridge)
        errors[~seen] = np.abs(guess / ms[~seen] - 1)
    return float(errors.mean())


def _columns(features: Features, form: Form, counts: Ints) -> Floats:
    columns = [np.ones((len(counts), 1)), features.blocks(counts, form.step) @ features.sums(form.by)]
    if form.cache is not None:
        columns.append(features.missed(counts, form.cache).sum(axis=-1, keepdims=True))
    return np.concatenate(columns, axis=1)


def _solve(columns: Floats, ms: Floats, ridge: float) -> Floats:
    """Coefficients that are not negative, of least relative squares."""
    from scipy.optimize import nnls  # takes a second, and few processes fit a model

    scale = np.maximum(np.abs(columns).max(axis=0), 1e-12)
    rows = columns / scale / ms[:, None]
    pull = ridge * np.sqrt(np.mean(rows**2)) * np.eye(rows.shape[1])
    pull[0, 0] = 0.0  # the cost of a call is free
    target = np.concatenate([np.ones(len(ms)), np.zeros(rows.shape[1])])
    found, _ = nnls(np.concatenate([rows, pull]), target, maxiter=100 * rows.shape[1])
    solved: Floats = found / scale
    return solved


def accuracy(model: LatencyModel, counts: Ints, ms: Floats) -> tuple[float, float]:
    """Mean relative error, and Kendall's tau, on measured candidates (N, G) and their times (N,).

    Tau is 0 where the model tells no candidate from another.
    """
    from scipy.stats import kendalltau

    guess = model.ms(counts)
    tau = float(kendalltau(guess, ms)[0]) if np.ptp(guess) > 0 and np.ptp(ms) > 0 else 0.0
    return float(np.mean(np.abs(guess / ms - 1))), tau
