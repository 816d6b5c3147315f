"""The score of a candidate before any fine-tuning, and early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.copying import dtype_of
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.surgery import build_pruned
from mendsearch.mending.weights import Weights
from mendsearch.modes import evaluating, fast_passes

BATCH = 512
"""Images per forward pass, at most."""
TRIAL_IMAGES = 1000
"""Validation images of a trial; more do not separate structures better (docs/results/scoring.md)."""
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
        top1_agreement: fraction (0-1) of these images whose largest logit is the dense network's, or the label.
    """

    value: float
    losses: Tensor
    stopped: bool
    top1_agreement: float


class Scorer:
    """Scores candidates of one search.

    Without labels, the score is the agreement with the dense network: minus the mean Kullback-Leibler divergence
    (nats) of the candidate's outputs from the dense ones on the validation images. With labels, it is minus the mean
    cross-entropy. It is at most 0; higher is better. A trial uses `TRIAL_IMAGES` of the images, a refined candidate
    all of them.

    Args:
        weights: weights of the candidates.
        validation: inputs of the validation items.
        labels: (N,) int64, their labels; None to compare with the dense network.

    Attributes:
        by_label: whether the reference is the labels.
    """

    def __init__(self, weights: Weights, validation: BatchLike, labels: Tensor | None) -> None:
        self.weights, self.by_label = weights, labels is not None
        validation = Batch.of(validation)
        # shuffled, so that the first images are a fair sample even if they came sorted
        order = torch.randperm(len(validation), generator=torch.Generator().manual_seed(0))
        self._trial = min(TRIAL_IMAGES, len(validation))
        self._checks = {round(part * self._trial) for part in CHECKS}
        most = min(BATCH, weights.affordable)
        ends = sorted({*self._checks, self._trial, *range(most, len(validation), most), len(validation)} - {0})
        sizes = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self._images = weights.placed(validation[order]).split(sizes)
        with torch.no_grad(), evaluating(weights.model):
            self._targets = (
                [part.call(weights.model).float().log_softmax(1) for part in self._images]
                if labels is None
                else list(labels[order].to(weights.device).split(sizes))
            )

    @property
    def version(self) -> tuple[object, ...]:
        """Changes whenever the same candidate would get another score."""
        return VERSION, self.by_label, self._trial, BATCH, CHECKS, *self.weights.version

    @torch.no_grad()
    def score(self, counts: Ints, incumbent: Scored | None = None) -> Scored:
        """Score a candidate; the score is minus infinity if its outputs are not finite.

        Args:
            counts: (G,) int64, keep counts of the candidate.
            incumbent: the best candidate so far. If given, scoring is stopped once a paired test on the images that
                both have seen shows that the candidate is clearly worse.
        """
        state = self.weights.of(counts)
        with fast_passes(self.weights.device, dtype_of(self.weights.model)):
            return self._evaluate(state, self._trial, incumbent)

    @torch.no_grad()
    def refined_score(self, counts: Ints) -> float:
        """The score of a candidate with refined weights, which are those of `build`."""
        return self._evaluate(self.weights.refined(counts), sum(map(len, self._images))).value

    @torch.no_grad()
    def dense_score(self) -> float:
        """The score of the dense network."""
        return self._evaluate(dict(self.weights.slicer.dense), sum(map(len, self._images))).value

    def build(self, counts: Ints) -> nn.Module:
        """The candidate as a plain dense network, with refined weights."""
        state = self.weights.refined(counts)
        return build_pruned(self.weights.model, state, self.weights.slicer.sizes(state)).eval()

    def _evaluate(self, state: dict[str, Tensor], images: int, incumbent: Scored | None = None) -> Scored:
        slicer, seen = self.weights.slicer, 0
        losses: list[Tensor] = []
        hits: list[Tensor] = []
        with self.weights.timings.step("validate"), slicer.sized(state), evaluating(slicer.model):
            for part, targets in zip(self._images, self._targets, strict=True):
                outputs = slicer.forward(state, part)
                losses.append(self._losses(outputs, targets))
                hits.append(outputs.argmax(1) == (targets if self.by_label else targets.argmax(1)))
                seen += len(part)
                if incumbent is not None and seen in self._checks and seen < images:
                    behind = torch.cat(losses) - incumbent.losses[:seen]
                    if _beyond_doubt(behind):
                        return Scored(incumbent.value - float(behind.mean()), torch.cat(losses), True, _share(hits))
                if seen >= images:
                    break
            found = torch.cat(losses)
            loss = float(found.mean())
        return Scored(-loss if math.isfinite(loss) else -math.inf, found, False, _share(hits))

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.by_label:
            return functional.cross_entropy(outputs.float(), targets, reduction="none")
        return functional.kl_div(outputs.float().log_softmax(1), targets, reduction="none", log_target=True).sum(1)


def _share(hits: list[Tensor]) -> float:
    return float(torch.cat(hits).float().mean())


def _beyond_doubt(behind: Tensor) -> bool:
    """Whether the mean of paired differences is above zero by more than `DOUBT` standard errors."""
    mean, spread = behind.mean(), behind.std() / math.sqrt(len(behind))
    return bool(mean > DOUBT * spread)
