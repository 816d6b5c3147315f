"""The time of any candidate, from a model that was fitted to measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mendsearch.budget.features import STEPS, Features, Floats, Grouping
from mendsearch.coupling.layout import Ints

FOLDS = 5
RIDGES = (0.03, 0.3, 1.0)
"""Strengths of the pull towards zero, relative to the mean square of the features."""
GROUPINGS: tuple[Grouping, ...] = ("kind", "layer")


@dataclass(frozen=True)
class Form:
    """Choices of a fit.

    Attributes:
        by: see `Features.sums`.
        step: see `Features.blocks`.
        ridge: strength of the pull towards zero.
    """

    by: Grouping
    step: int
    ridge: float


class LatencyModel:
    """Milliseconds of any candidate: a constant, and a coefficient times each feature of each operation.

    Args:
        features: of the network.
        step: number of channels that the device computes together.
        coefficients: (1 + 6 P,), milliseconds a call, then by feature; none is negative.
        dense_ms: milliseconds of the dense network as measured; a budget may be a fraction of it. None where unknown.
    """

    def __init__(
        self, features: Features, step: int, coefficients: Sequence[float], dense_ms: float | None = None
    ) -> None:
        self.features, self.step, self.dense_ms = features, step, dense_ms
        self.coefficients = np.asarray(coefficients, dtype=np.float64)

    def ms(self, counts: Ints) -> Floats:
        """Milliseconds of candidates: (..., G) int64 to (...) float64."""
        found: Floats = self.features.blocks(counts, self.step) @ self.coefficients[1:] + self.coefficients[0]
        return found

    def by_operation(self, counts: Ints) -> Floats:
        """What each operation adds to that, without the constant: (..., G) int64 to (..., P) float64, milliseconds."""
        parts = self.features.blocks(counts, self.step) * self.coefficients[1:]
        found: Floats = parts.reshape(*parts.shape[:-1], 6, -1).sum(axis=-2)
        return found


def fit(features: Features, counts: Ints, ms: Floats) -> tuple[LatencyModel, Form]:
    """Fit a model to whole candidates, in the form that predicts best those it has not seen (cross-validation).

    Coefficients are not negative, and errors are relative: 1 ms of 10 counts as 0.1 ms of 1.

    Args:
        features: of the network.
        counts: (N, G) int64, candidates that were measured; ten or more.
        ms: (N,) float64, their times.
    """
    folds = np.arange(len(ms)) % FOLDS
    best, least = Form("kind", 1, RIDGES[-1]), np.inf
    for step in STEPS:
        blocks = features.blocks(counts, step)
        for by in GROUPINGS:
            columns = _columns(features, blocks, by)
            for ridge in RIDGES:
                error = 0.0
                for fold in range(FOLDS):
                    seen = folds != fold
                    guess = columns[~seen] @ _solve(columns[seen], ms[seen], ridge)
                    error += float(np.abs(guess / ms[~seen] - 1).sum())
                if error < least:
                    best, least = Form(by, step, ridge), error
    return fit_in(features, best, counts, ms), best


def fit_in(features: Features, form: Form, counts: Ints, ms: Floats) -> LatencyModel:
    """As `fit`, in a given form."""
    blocks = features.blocks(counts, form.step)
    solved = _solve(_columns(features, blocks, form.by), ms, form.ridge)
    return LatencyModel(features, form.step, [solved[0], *(features.sums(form.by) @ solved[1:])])


def _columns(features: Features, blocks: Floats, by: Grouping) -> Floats:
    return np.concatenate([np.ones((len(blocks), 1)), blocks @ features.sums(by)], axis=1)


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
