"""Kullback-Leibler divergence over a class axis: classifiers, segmentation, tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mendsearch.errors import DataError
from mendsearch.outputs.base import Divergence, fitting, per_item, positions

TEMPERATURE = 2.0
"""Temperature of distillation."""
IGNORED = -100
"""Target that does not count, as in `torch.nn.functional.cross_entropy`."""
LEAST = 1e-9
"""Probability below which a logarithm is not taken."""


class KL(Divergence):
    """Divergence of class probabilities in nats; the mean over positions where each position has its own.

    Args:
        axis: the class axis.
        probabilities: whether the leaf holds probabilities; if not, logits or logarithms of probabilities.
    """

    def __init__(self, axis: int, probabilities: bool = False) -> None:
        self.axis, self.probabilities = axis, probabilities

    def prepare(self, values: Tensor) -> Tensor:
        """Logarithms of the probabilities."""
        return self._logits(values).log_softmax(self.axis)

    def between(self, found: Tensor, dense: Tensor) -> Tensor:
        return per_item(functional.kl_div(found, dense, reduction="none", log_target=True).sum(self.axis))

    def agreement(self, found: Tensor, dense: Tensor) -> Tensor:
        """Fractions of positions with the same most likely class."""
        return per_item((found.argmax(self.axis) == dense.argmax(self.axis)).float())

    def distillation(self, found: Tensor, dense: Tensor) -> Tensor:
        """At `TEMPERATURE`, times its square (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015)."""
        softened = [(self._logits(values) / TEMPERATURE).log_softmax(self.axis) for values in (found, dense)]
        return TEMPERATURE**2 * self.between(*softened)

    def own_loss(self, found: Tensor) -> Tensor:
        """Cross-entropy with the network's own predictions."""
        return -found.max(self.axis).values.mean()

    def drawn(self, found: Tensor, generator: torch.Generator) -> Tensor:
        """Of classes drawn from the probabilities, one for each position."""
        likely = found.movedim(self.axis, -1)
        waits = torch.empty(likely.shape).exponential_(generator=generator).log().to(likely)
        classes = (likely.detach() - waits).argmax(-1, keepdim=True)  # Gumbel's way to draw
        return likely.gather(-1, classes).sum() / math.sqrt(positions(classes))

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with classes of shape (N,), or one for each position.

        Raises:
            DataError: they are no classes of this output.
        """
        likely = found.movedim(self.axis, 1)
        if targets.is_floating_point():
            raise DataError(
                f"targets are {str(targets.dtype).removeprefix('torch.')}, expected classes (integers) for an output "
                f"that is compared by `kl`; if it is no classifier, set its divergence in [score.outputs]"
            )
        classes, known = fitting(targets, likely[:, 0].shape, "classes"), likely.shape[1]
        if bool(((classes >= known) | ((classes < 0) & (classes != IGNORED))).any()):
            raise DataError(
                f"targets hold class {int(classes.max() if classes.max() >= known else classes.min())}, expected 0 to "
                f"{known - 1}, the classes of the network's output; correct the labels, or give it more classes"
            )
        return per_item(functional.nll_loss(likely, classes, reduction="none", ignore_index=IGNORED))

    def right(self, found: Tensor, targets: Tensor) -> Tensor | None:
        """Fractions of positions whose most likely class is the target."""
        if targets.is_floating_point():
            return None
        decided = found.argmax(self.axis)
        return per_item((decided == fitting(targets, decided.shape, "classes").to(decided.device)).float())

    def _logits(self, values: Tensor) -> Tensor:
        return torch.log(values.float().clamp_min(LEAST)) if self.probabilities else values.float()
