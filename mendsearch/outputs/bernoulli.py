"""Kullback-Leibler divergence of yes-or-no decisions: a single logit, independent labels, masks of one class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mendsearch.errors import DataError
from mendsearch.outputs.base import Divergence, fitting, per_item, positions
from mendsearch.outputs.kl import TEMPERATURE

CLOSEST = 1e-6
"""Distance from 0 and 1 that probabilities keep."""


class Bernoulli(Divergence):
    """Divergence of the probabilities of yes, in nats; the mean over all values of an item.

    Args:
        probabilities: whether the leaf holds probabilities (behind a sigmoid); if not, logits.
    """

    def __init__(self, probabilities: bool = False) -> None:
        self.probabilities = probabilities

    def prepare(self, values: Tensor) -> Tensor:
        """Logits."""
        return torch.logit(values.float(), CLOSEST) if self.probabilities else values.float()

    def between(self, found: Tensor, dense: Tensor) -> Tensor:
        yes = dense.sigmoid() * (functional.logsigmoid(dense) - functional.logsigmoid(found))
        no = (-dense).sigmoid() * (functional.logsigmoid(-dense) - functional.logsigmoid(-found))
        return per_item(yes + no)

    def agreement(self, found: Tensor, dense: Tensor) -> Tensor:
        """Fractions of values on the same side of one half."""
        return per_item(((found > 0) == (dense > 0)).float())

    def distillation(self, found: Tensor, dense: Tensor) -> Tensor:
        """At `TEMPERATURE`, times its square, as for classes."""
        softened = [self.prepare(values) / TEMPERATURE for values in (found, dense)]
        return TEMPERATURE**2 * self.between(*softened)

    def own_loss(self, found: Tensor) -> Tensor:
        """Cross-entropy with the network's own decisions."""
        return functional.binary_cross_entropy_with_logits(found, (found.detach() > 0).float())

    def drawn(self, found: Tensor, generator: torch.Generator) -> Tensor:
        """Of decisions drawn from the probabilities of yes."""
        decided = (torch.rand(found.shape, generator=generator).to(found) < found.detach().sigmoid()).float()
        unlikely = functional.binary_cross_entropy_with_logits(found, decided, reduction="sum")
        return -unlikely / math.sqrt(positions(found))

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with targets from 0 to 1.

        Raises:
            DataError: some are beyond, and so no decisions.
        """
        if bool(((targets < 0) | (targets > 1)).any()):
            raise DataError(
                f"targets run from {float(targets.min()):.3g} to {float(targets.max()):.3g}, expected 0 to 1 for an "
                f"output that is compared by `bernoulli`; if it decides nothing, set its divergence in [score.outputs]"
            )
        wanted = fitting(targets, found.shape, "targets from 0 to 1").to(found)
        return per_item(functional.binary_cross_entropy_with_logits(found, wanted, reduction="none"))

    def right(self, found: Tensor, targets: Tensor) -> Tensor | None:
        """Fractions of values that are decided as the targets say."""
        if not bool(((targets == 0) | (targets == 1)).all()):
            return None
        wanted = fitting(targets, found.shape, "targets from 0 to 1").to(found.device)
        return per_item(((found > 0) == (wanted > 0.5)).float())
