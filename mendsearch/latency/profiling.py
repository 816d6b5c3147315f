"""Measuring candidates until a model predicts those that it has not seen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice

import numpy as np
from torch import nn

from mendsearch.batches import Batch
from mendsearch.budget.features import Features, Floats, geometries
from mendsearch.budget.latency import Form, accuracy, fit, fit_in
from mendsearch.budget.profile import Fitted, LatencyProfile, Measured, Setting, network_digest
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.errors import CouplingError, UsageError
from mendsearch.latency.candidates import builder, random_structures
from mendsearch.latency.timers import Timer
from mendsearch.progress import Reporter

AT_ONCE = 8
"""Candidates that are ready at the same time, and take turns."""
FEW, LEAST, MOST = 2 * AT_ONCE, 48, 400
"""Candidates of a profile: at the least, whatever the time; before it stops for being right enough; at the most."""
HELD_OUT = 4
"""Every fourth candidate is kept from the fit, and judges it; the model in the profile is then fitted to all."""
TOO_NOISY = 0.25
"""Noise above which times mean nothing."""
LOUD = 4
"""Measurements after which a machine that is too noisy is given up."""


def profile_network(
    model: nn.Module,
    batch: Batch,
    timer: Timer,
    *,
    exclude: Sequence[str] = (),
    seconds: float = 600,
    target: float = 0.05,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> LatencyProfile:
    """Measure candidates of a network, and fit a model to their times.

    Args:
        model: the network, in evaluation mode; its weights do not matter, and it is not changed.
        batch: inputs of a pass.
        timer: what times them, in turns with the network itself.
        exclude: layers that keep all their output channels, as in `prune.exclude`.
        seconds: time for it; the first `FEW` candidates are measured however long they take.
        target: mean relative error on unseen candidates at which it stops before.
        seed: of the candidates and of their order.
        reporter: where progress goes.

    Raises:
        ModelError: the runtime lacks an operator of the network.
        UsageError: the machine is too noisy, or the network has too few structures.
    """
    started, reporter = time.monotonic(), reporter or Reporter(quiet=True)
    coupling = find_coupling(model, batch[:2] if len(batch) > 1 else Batch.cat([batch, batch]), tuple(exclude))
    if not coupling.groups:
        raise CouplingError("profile: nothing in the network is prunable, so there is nothing to measure")
    shapes, geometry = {name: tuple(one.shape) for name, one in model.named_parameters()}, geometries(model)
    features = Features(coupling, shapes, geometry)
    build, structures = builder(model, coupling), random_structures(coupling, seed)
    found, chunks = _Found(coupling), deque[list[Ints]]()

    def sets() -> Iterator[list[nn.Module]]:
        while chunk := list(islice(structures, AT_ONCE)):
            chunks.append(chunk)
            yield [build(counts) for counts in chunk]

    with reporter.stage("profile, seconds", round(seconds)) as stage, closing(timer.times(sets(), seed)) as measured:
        for times in measured:
            chunk = chunks.popleft()
            parts = [times.ms[place] / times.dense_ms for place in range(len(chunk))]
            found.add(chunk, parts, times.dense_ms, times.noise)
            spent = time.monotonic() - started
            error = found.judge(features)
            known = f"error {error:.1%}, " if np.isfinite(error) else ""
            note = f"{len(found.counts)} candidates, {known}noise {found.noise:.1%}"
            stage.advance(note, min(round(seconds), int(spent)))
            right, over = len(found.counts) >= LEAST and error <= target, spent >= seconds and len(found.counts) >= FEW
            hopeless = len(found.noises) >= LOUD and found.noise > TOO_NOISY
            if right or over or hopeless or len(found.counts) >= MOST:
                break
    return found.profile(features, network_digest(coupling, shapes, geometry), timer.setting, started)


class _Found:
    """Measurements so far."""

    def __init__(self, coupling: Coupling) -> None:
        self.coupling = coupling
        self.counts: list[Ints] = []
        self.parts: list[float] = []  # of the dense network's time, in the same minute
        self.dense: list[float] = []
        self.noises: list[float] = []
        self.error, self.tau = np.inf, 0.0
        self._form: Form | None = None

    def add(self, counts: list[Ints], parts: list[float], dense_ms: float, noise: float) -> None:
        self.counts += counts
        self.parts += parts
        self.dense.append(dense_ms)
        self.noises.append(noise)

    @property
    def noise(self) -> float:
        return float(np.median(self.noises))

    @property
    def dense_ms(self) -> float:
        return float(np.median(self.dense))

    def _split(self) -> tuple[Ints, Floats, np.ndarray]:
        unseen = np.arange(len(self.counts)) % HELD_OUT == HELD_OUT - 1
        return np.array(self.counts), np.array(self.parts) * self.dense_ms, unseen

    def judge(self, features: Features) -> float:
        """The error on held-out candidates; infinite as long as there are too few."""
        if len(self.counts) >= FEW:
            counts, ms, unseen = self._split()
            model, self._form = fit(features, *self._with_dense(counts[~unseen], ms[~unseen]))
            self.error, self.tau = accuracy(model, counts[unseen], ms[unseen])
        return self.error

    def _with_dense(self, counts: Ints, ms: Floats) -> tuple[Ints, Floats]:
        """With the dense network, as often as it was measured: a budget may be a fraction of what it takes."""
        dense = np.tile(self.coupling.widths, (len(self.dense), 1))
        return np.concatenate([counts, dense]), np.concatenate([ms, np.full(len(dense), self.dense_ms)])

    def profile(self, features: Features, network: str, setting: Setting, started: float) -> LatencyProfile:
        if self.noise > TOO_NOISY:
            raise UsageError(
                f"profile: the machine is too noisy to measure: two measurements of the same network differ by "
                f"{self.noise:.0%}, expected {TOO_NOISY:.0%} or less; stop what else runs there"
            )
        if self._form is None:
            raise UsageError(
                f"profile: got {len(self.counts)} structures of the network, expected {FEW} or more; it is too small "
                f"for a latency model"
            )
        counts, ms, unseen = self._split()
        whole = fit_in(features, self._form, *self._with_dense(counts, ms))
        return LatencyProfile(
            network=network,
            setting=setting,
            dense_ms=self.dense_ms,
            noise=self.noise,
            seconds=round(time.monotonic() - started, 1),
            model=Fitted(
                step=self._form.step,
                coefficients=tuple(float(value) for value in whole.coefficients),
                cache=None if whole.cache is None else whole.cache.values,
                missed=0.0 if whole.cache is None else whole.cache.ms,
                error=self.error,
                tau=self.tau,
                held_out=int(unseen.sum()),
            ),
            measured=tuple(
                Measured(counts=tuple(int(one) for one in row), ms=float(time_ms), held_out=bool(held))
                for row, time_ms, held in zip(counts, ms, unseen, strict=True)
            ),
        )
