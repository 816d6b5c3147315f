"""All outputs of a candidate compared with those of the dense network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mendsearch.errors import DataError, ModelError
from mendsearch.outputs.base import Divergence
from mendsearch.outputs.bernoulli import Bernoulli
from mendsearch.outputs.guessing import Output
from mendsearch.outputs.kl import KL
from mendsearch.outputs.leaves import SINGLE, Leaf, leaves_of

Prepared = dict[str, Any]


class Comparison:
    """The outputs of one network, and the divergence of each.

    Args:
        outputs: all output leaves.
        divergences: by name of a leaf; those that are not named are not compared.

    Raises:
        ModelError: none is compared.
    """

    def __init__(self, outputs: Sequence[Output], divergences: Mapping[str, Divergence]) -> None:
        self.outputs, self._divergences = tuple(outputs), dict(divergences)
        if not divergences:
            reasons = "; ".join(f"{output.name}: {output.reason}" for output in outputs)
            raise ModelError(
                f"the network's outputs cannot be compared: got {reasons or 'no tensor'}, expected a floating-point "
                f"tensor with a first axis of items; try a metric of your own as the score"
            )
        self._weights = {output.name: output.weight for output in outputs if output.name in divergences}

    @property
    def version(self) -> tuple[object, ...]:
        """Changes whenever the same outputs would be compared otherwise."""
        return tuple(
            (
                out.name,
                out.divergence,
                out.weight,
                out.axis,
                out.probabilities,
                *(out.reason,) * (out.divergence == "given"),
            )
            for out in self.outputs
        )

    @property
    def classes(self) -> int | None:
        """Number of classes, if one output alone is compared, and it has some; 2 for decisions."""
        if len(self._divergences) > 1:
            return None
        (name, divergence), *_ = self._divergences.items()
        shape = next(output.shape for output in self.outputs if output.name == name)
        if isinstance(divergence, KL):
            return shape[divergence.axis - 1] if shape else None
        return 2 if isinstance(divergence, Bernoulli) else None

    def prepare(self, outputs: object) -> Prepared:
        """The leaves that are compared, in the form that their divergences take.

        Raises:
            ModelError: the outputs lack one of them.
        """
        leaves = self._matched(outputs)
        return {name: divergence.prepare(leaves[name]) for name, divergence in self._divergences.items()}

    def divergences(self, found: Prepared, dense: Prepared) -> dict[str, Tensor]:
        """By leaf, divergences (N,) of prepared outputs from the dense network's."""
        return {name: kind.between(found[name], dense[name]) for name, kind in self._divergences.items()}

    def mean(self, values: Mapping[str, Tensor]) -> Tensor:
        """The mean over leaves by their weights."""
        total = sum(self._weights.values())
        parts = [value * (self._weights[name] / total) for name, value in values.items()]
        return torch.stack([part.to(parts[0].device) for part in parts]).sum(0)

    def agreement(self, found: Prepared, dense: Prepared) -> Tensor | None:
        """Fractions (N,) of decisions that are the dense network's; None if no leaf decides anything."""
        return self._mean_of(
            {name: kind.agreement(found[name], dense[name]) for name, kind in self._divergences.items()}
        )

    def distillation(self, found: object, dense: object) -> Tensor:
        """Mean divergence, as a scalar with a gradient, of outputs from the dense network's, both as they are given."""
        here, there = self._matched(found), self._matched(dense)
        parts = {name: kind.distillation(here[name], there[name]) for name, kind in self._divergences.items()}
        return self.mean(parts).mean()

    def own_loss(self, outputs: object) -> Tensor:
        """A scalar made from the outputs alone, whose gradient says what they depend on."""
        found = self.prepare(outputs)
        return self.mean({name: kind.own_loss(found[name]) for name, kind in self._divergences.items()})

    def drawn(self, outputs: object, generator: torch.Generator) -> Tensor:
        """A scalar, drawn at random, whose gradient's second moment is the Hessian of the mean divergence.

        Raises:
            ModelError: a leaf has no gradient.
        """
        found, total = self.prepare(outputs), sum(self._weights.values())
        parts = [
            math.sqrt(self._weights[name] / total) * kind.drawn(found[name], generator)
            for name, kind in self._divergences.items()
        ]
        return torch.stack([part.to(parts[0].device) for part in parts]).sum()

    def loss(self, found: Prepared, targets: Any) -> Tensor:
        """Losses (N,) of the one output that is compared against targets.

        Raises:
            DataError: there are several, or the targets do not fit.
        """
        name, targets = self._single(targets)
        return self._divergences[name].loss(found[name], targets.to(found[name].device))

    def right(self, found: Prepared, targets: Any) -> Tensor | None:
        """Fractions (N,) of decisions that are as the targets say; None if the output decides nothing."""
        if len(self._divergences) > 1 or not isinstance(targets, Tensor):
            return None
        (name, divergence), *_ = self._divergences.items()
        return divergence.right(found[name], targets)

    def _single(self, targets: Any) -> tuple[str, Tensor]:
        if len(self._divergences) > 1 or not isinstance(targets, Tensor):
            names = ", ".join(self._divergences)
            raise DataError(
                f"no built-in loss: got the outputs {names} and targets of {type(targets).__name__}, expected one "
                f"output and a tensor; give a loss or metric of your own, or set others to `none` in [score.outputs]"
            )
        return next(iter(self._divergences)), targets

    def _mean_of(self, values: Mapping[str, Tensor | None]) -> Tensor | None:
        known = {name: value for name, value in values.items() if value is not None}
        if not known:
            return None
        total = sum(self._weights[name] for name in known)
        return torch.stack([value * (self._weights[name] / total) for name, value in known.items()]).sum(0)

    def _matched(self, outputs: object) -> dict[str, Leaf]:
        """Leaves by name. In training mode a network of one output may give more, that one first, as GoogLeNet does."""
        leaves = leaves_of(outputs)
        if SINGLE in self._divergences and SINGLE not in leaves and leaves:
            leaves[SINGLE] = next(iter(leaves.values()))
        missing = [name for name in self._divergences if name not in leaves]
        if missing:
            raise ModelError(
                f"the network lacks the outputs {', '.join(missing)} here: got {', '.join(leaves) or 'no tensor'}; "
                f"in training mode give a loss of your own and distillation 0"
            )
        return leaves


LOGITS = Comparison([Output(SINGLE, (), "kl", axis=1)], {SINGLE: KL(1)})
"""Of a network that gives logits (N, num_classes), with classes on the second axis."""
