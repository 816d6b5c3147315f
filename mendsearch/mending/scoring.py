"""The score of a candidate before any fine-tuning, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.mending.judges import ByDense, ByLabels, ByMetric, Judge, Judged, Metric
from mendsearch.mending.weights import Weights
from mendsearch.modes import evaluating
from mendsearch.outputs import Wishes, comparison_of
from mendsearch.outputs.guessing import Output

BATCH = 512
"""Images per forward pass, at most."""
TRIAL_IMAGES = 2000
"""Validation images of a trial, at most. Random structures are told apart by 1,000, but not the best of a search
(docs/results/ladder.md)."""
CHECKS = (1 / 8, 1 / 4, 1 / 2)
"""Fractions of the validation images after which scoring may be stopped."""
DOUBT = 1.5
"""Standard errors by which the mean loss must exceed the incumbent's for scoring to be stopped."""
VERSION = 3
"""Incremented when the same candidate would get another score."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The score of one candidate.

    Attributes:
        value: the score; if scoring was stopped, an estimate of it.
        losses: (n,) float32, losses of the images that were used.
        stopped: whether scoring was stopped before the last image.
        top1_agreement: fraction (0-1) of decisions on these images (classes, of each pixel or of the image) that are
            the dense network's, or the labels; None where nothing is decided, or a metric is the score.
        divergences: mean divergences on these images, by output; empty unless the dense network is the reference.
    """

    value: float
    losses: Tensor
    stopped: bool
    top1_agreement: float | None
    divergences: Mapping[str, float] = field(default_factory=dict)


class Scorer:
    """Scores candidates of one search.

    Without labels, the score is the agreement with the dense network: minus the mean divergence of the candidate's
    outputs from the dense ones on the validation images, which for a classifier is the Kullback-Leibler divergence in
    nats. With labels, it is minus the mean loss, which for a classifier is the cross-entropy. Both are at most 0. With
    a metric, it is the metric's mean. Higher is better. A trial uses `TRIAL_IMAGES` of the images, a refined candidate
    all of them.

    Args:
        weights: weights of the candidates.
        validation: inputs of the validation items.
        labels: their labels, with a first axis of N; None to compare with the dense network.
        outputs: what the user says of the network's outputs.
        metric: the user's own metric, which is given the labels too; None to use divergences or losses.
        metric_name: import path of the metric.
    """

    def __init__(
        self,
        weights: Weights,
        validation: BatchLike,
        labels: Tensor | None,
        *,
        outputs: Wishes | None = None,
        metric: Metric | None = None,
        metric_name: str = "",
    ) -> None:
        self.weights = weights
        validation = Batch.of(validation)
        # shuffled, so that the first images are a fair sample even if they came sorted
        order = torch.randperm(len(validation), generator=torch.Generator().manual_seed(0))
        self._trial = min(TRIAL_IMAGES, len(validation))
        self._checks = {round(part * self._trial) for part in CHECKS}
        most = min(BATCH, weights.affordable)
        ends = sorted({*self._checks, self._trial, *range(most, len(validation), most), len(validation)} - {0})
        self._sizes = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        inputs = weights.placed(validation[order])
        parts = inputs.split(self._sizes)
        targets = None if labels is None else labels[order].to(weights.device).split(self._sizes)
        self._judge: Judge
        if metric is not None:
            plain = [part.plain for part in parts]
            given = plain if targets is None else list(zip(plain, targets, strict=True))
            with torch.no_grad(), evaluating(weights.model):
                self._judge = ByMetric(weights.slicer, given, metric, metric_name)
            return
        comparison = comparison_of(weights.model, inputs, outputs)
        with torch.no_grad(), evaluating(weights.model):
            self._judge = (
                ByDense(weights.slicer, parts, comparison)
                if targets is None
                else ByLabels(weights.slicer, parts, targets, comparison)
            )

    @property
    def reference(self) -> Literal["dense", "labels", "metric"]:
        """What candidates are compared with."""
        return self._judge.reference

    @property
    def metric_name(self) -> str:
        """Import path of the user's own metric; empty without one."""
        return self._judge.name if isinstance(self._judge, ByMetric) else ""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The network's outputs and how they are compared; empty where a metric is the score."""
        return self._judge.outputs

    @property
    def version(self) -> tuple[object, ...]:
        """Changes whenever the same candidate would get another score."""
        return VERSION, *self._judge.version, self._trial, BATCH, CHECKS, *self.weights.version

    @torch.no_grad()
    def score(self, counts: Ints, incumbent: Scored | None = None) -> Scored:
        """Score a candidate; the score is minus infinity if its outputs are not finite.

        Args:
            counts: (G,) int64, keep counts of the candidate.
            incumbent: the best candidate so far. If given, scoring is stopped once a paired test on the images that
                both have seen shows that the candidate is clearly worse.
        """
        state = self.weights.of(counts)
        with self.weights.fast_passes():
            return self._evaluate(state, self._trial, incumbent)

    @torch.no_grad()
    def refined(self, counts: Ints) -> Scored:
        """Score a candidate with refined weights, which are those of `build`, on all images."""
        return self._evaluate(self.weights.refined(counts), sum(self._sizes))

    def refined_score(self, counts: Ints) -> float:
        """The score of a candidate with refined weights."""
        return self.refined(counts).value

    @torch.no_grad()
    def dense_score(self) -> float:
        """The score of the dense network."""
        return self._evaluate(dict(self.weights.slicer.dense), sum(self._sizes)).value

    def build(self, counts: Ints) -> nn.Module:
        """The candidate as a plain dense network, with refined weights."""
        state = self.weights.refined(counts)
        return build_pruned(self.weights.model, state, self.weights.slicer.sizes(state)).eval()

    def _evaluate(self, state: dict[str, Tensor], images: int, incumbent: Scored | None = None) -> Scored:
        slicer, seen = self.weights.slicer, 0
        judged: list[Judged] = []
        with self.weights.timings.step("validate"), slicer.sized(state), evaluating(slicer.model):
            for at, size in enumerate(self._sizes):
                judged.append(self._judge.judge(state, at))
                seen += size
                if incumbent is not None and seen in self._checks and seen < images:
                    behind = _losses(judged) - incumbent.losses[:seen]
                    if _beyond_doubt(behind):
                        return _scored(judged, incumbent.value - float(behind.mean()), stopped=True)
                if seen >= images:
                    break
            loss = float(_losses(judged).mean())
        return _scored(judged, -loss if math.isfinite(loss) else -math.inf, stopped=False)


def _losses(judged: list[Judged]) -> Tensor:
    return torch.cat([part.losses for part in judged])


def _scored(judged: list[Judged], value: float, *, stopped: bool) -> Scored:
    agreed = [part.agreed for part in judged if part.agreed is not None]
    parts = {name: torch.cat([part.divergences[name] for part in judged]) for name in judged[0].divergences}
    return Scored(
        value,
        _losses(judged),
        stopped,
        float(torch.cat(agreed).mean()) if agreed else None,
        {name: float(values.mean()) for name, values in parts.items()},
    )


def _beyond_doubt(behind: Tensor) -> bool:
    """Whether the mean of paired differences is above zero by more than `DOUBT` standard errors."""
    mean, spread = behind.mean(), behind.std() / math.sqrt(len(behind))
    return bool(mean > DOUBT * spread)
