"""A surrogate of the score: error curves, corrected by a Gaussian process on the candidates scored so far."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from mendsearch.budget import Floats
from mendsearch.coupling.layout import Ints

POWERS = (0.75, 1.5, 3.0)
LENGTHS = (0.5, 1.0, 2.0, 4.0)
NOISES = (1e-3, 1e-2, 1e-1)
ABOVE = 0.25
"""Standard deviations of the scores by which the ceiling lies above the best, where scores are not negative."""
WIDE = 10.0
"""Prior variance of the weights of the features, relative to the variance of the smooth part."""


class Surrogate:
    """Predicts minus the logarithm of how far the scores of structures lie below a ceiling.

    The ceiling of negative scores is 0. A metric may be positive; its ceiling lies a little above the best.

    The mean is linear in the error curves, summed after raising them to several powers. The residual is a Gaussian
    process over the logarithms of the keep counts (Matérn 5/2; length and noise by marginal likelihood on a small
    grid).

    Args:
        widths: (G,) int64, channels of the coupling groups in the dense network.
        curves: error curves of the coupling groups, of one kind or several.

    Reference: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.2, 2.7 and 5.4.
    """

    def __init__(self, widths: Ints, curves: list[list[Floats]]) -> None:
        self._widths = widths
        tables = np.zeros((len(curves), len(widths), int(widths.max()) + 1))
        for table, kind in zip(tables, curves, strict=True):
            for row, curve in zip(table, kind, strict=True):
                row[: len(curve)] = curve
        self._tables = np.concatenate([tables**power for power in POWERS])
        self._groups = np.arange(len(widths))

    def fit(self, counts: Ints, scores: Floats) -> None:
        """Fit to keep counts (n, G) and finite scores (n,), n >= 2."""
        values = -np.log(np.maximum(_ceiling(scores) - scores, 1e-6))
        self._centre, self._spread = float(np.median(values)), float(values.std()) + 1e-9
        self._at = self._log_fractions(counts)
        wanted = (values - self._centre) / self._spread
        features = self._features(counts)
        self._scale = features.mean(0), features.std(0) + 1e-9
        basis = self._basis(counts)
        best = -np.inf
        distances, linear, unit = _distances(self._at, self._at), WIDE * basis @ basis.T, np.eye(len(counts))
        for length in LENGTHS:
            smooth = _matern(distances / (length * np.sqrt(len(self._groups)) / 2))
            for noise in NOISES:
                factor = cholesky(smooth + linear + noise * unit, lower=True, check_finite=False)
                solved = cho_solve((factor, True), wanted, check_finite=False)
                amplitude = float(wanted @ solved) / len(counts) + 1e-12
                likelihood = -0.5 * len(counts) * np.log(amplitude) - np.log(np.diag(factor)).sum()
                if likelihood > best:
                    best, self._length, self._factor, self._solved = likelihood, length, factor, solved
                    self._amplitude, self._trained = amplitude, basis

    def predict(self, counts: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation, each (m,), of -log(ceiling - score) at keep counts (m, G)."""
        basis = self._basis(counts)
        distances = _distances(self._log_fractions(counts), self._at)
        cross = _matern(distances / (self._length * np.sqrt(len(self._groups)) / 2)) + WIDE * basis @ self._trained.T
        mean = cross @ self._solved
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = 1 + WIDE * np.square(basis).sum(1) - np.square(half).sum(0)
        deviation = np.sqrt(np.maximum(variance, 1e-9) * self._amplitude)
        return mean * self._spread + self._centre, deviation * self._spread

    def _log_fractions(self, counts: Ints | Floats) -> Floats:
        at: Floats = np.log(counts / self._widths)
        return at

    def _features(self, counts: Ints | Floats) -> Floats:
        low = np.floor(counts).astype(np.int64)
        part = counts - low
        high = np.minimum(low + 1, self._widths)
        sums = [
            (table[self._groups, low] * (1 - part) + table[self._groups, high] * part).sum(-1) for table in self._tables
        ]
        found: Floats = np.log(np.stack(sums, -1) + 1e-6)
        return found

    def _basis(self, counts: Ints | Floats) -> Floats:
        mean, spread = self._scale
        scaled = np.clip((self._features(counts) - mean) / spread, -5, 5)
        return np.concatenate([np.ones((len(scaled), 1)), scaled], 1)


def _ceiling(scores: Floats) -> float:
    best = float(scores.max())
    return 0.0 if best < 0 else best + ABOVE * float(scores.std())


def _distances(left: Floats, right: Floats) -> Floats:
    squares = np.square(left).sum(1)[:, None] + np.square(right).sum(1)[None] - 2 * left @ right.T
    found: Floats = np.sqrt(np.maximum(squares, 0.0))
    return found


def _matern(scaled: Floats) -> Floats:
    root = np.sqrt(5.0) * scaled
    found: Floats = (1 + root + root**2 / 3) * np.exp(-root)
    return found
