"""The least squares of one layer, changed only as far as items that it was not fitted to bear out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.reconstruction.channels import TINY
from mendsearch.reconstruction.patches import patches_at, weight_of
from mendsearch.reconstruction.targets import Target

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""λ as fractions of the mean variance of a layer's inputs, to choose from."""
CLOSE = 0.95
"""Part of the largest gain on held-out items that the smallest ridge must reach to be chosen: all the items, which
the layer is fitted to in the end, bear a smaller one than three quarters of them."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Of what a layer reads, x, and of what it lacks, y, over some rows; about a fixed origin of each.

    Attributes:
        rows: how many.
        mean: (conv groups, features) float64, E[x].
        lack: (conv groups, outputs) float64, E[y].
        gram: (conv groups, features, features) float64, E[x xᵀ].
        crossed: (conv groups, features, outputs) float64, E[x yᵀ].
    """

    rows: int
    mean: Tensor
    lack: Tensor
    gram: Tensor
    crossed: Tensor

    @classmethod
    def of(cls, patches: Tensor, missing: Tensor) -> Moments:
        """Of (conv groups, rows, features) and (conv groups, rows, outputs), float32.

        What is not finite counts as nothing; the outputs of such a candidate are not finite, and its score says so.
        """
        rows, turned = patches.shape[1], patches.transpose(1, 2)
        found = (patches.mean(1), missing.mean(1), turned @ patches / rows, turned @ missing / rows)
        return cls(rows, *(torch.nan_to_num(part.double(), 0.0, 0.0, 0.0) for part in found))

    def __add__(self, other: Moments) -> Moments:
        """Of both together."""
        part = other.rows / (self.rows + other.rows)
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Moments(self.rows + other.rows, *((1 - part) * ours + part * theirs for ours, theirs in pairs))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.mean, self.lack, self.gram, self.crossed

    def about(self, centre: Moments | None) -> tuple[Tensor, Tensor]:
        """The second moments about the means of `centre`, or about the origin."""
        if centre is None:
            return self.gram, self.crossed
        x, y, own_x, own_y = centre.mean[:, :, None], centre.lack[:, None], self.mean[:, :, None], self.lack[:, None]
        turned = x.transpose(1, 2)
        gram = self.gram - own_x @ turned - x @ own_x.transpose(1, 2) + x @ turned
        return gram, self.crossed - own_x @ y - x @ own_y + x @ y


@dataclass(eq=False)
class Seen:
    """What one layer has been shown so far, where items come in several passes.

    Attributes:
        origin: of its inputs, (conv groups, 1, features), and of what it lacks, (conv groups, 1, outputs); float32.
        fitted: over the items that it is fitted to.
        held: over those held out.
    """

    origin: tuple[Tensor, Tensor]
    fitted: Moments
    held: Moments


def fit(module: Any, inputs: Tensor, target: Target, wanted: Tensor, fitted: int, seen: Seen | None) -> Seen | None:
    """Change a layer's weight, and its bias if it has one, in place, so that it gives what is wanted.

    Both sides are centred where a shift is free. The ridge pulls towards the weight as it is.

    Args:
        module: the layer, sliced; with several passes its weight is the same before each of them.
        inputs: (N, C, ...) that it reads.
        target: says which positions, and whether a shift is free.
        wanted: (N P, O) outputs at the target's positions.
        fitted: rows of its inputs at the front that the layer is fitted to; the others choose how far. Without any of
            the one or the other it stays as it is.
        seen: of the passes before.

    Returns:
        what it has been shown with this pass.
    """
    patches = patches_at(module, inputs, target.places).transpose(0, 1).float()
    missing = _missing(module, patches, wanted)
    rows = patches.shape[1]
    split = fitted * target.places.shape[1]
    if not 0 < split < rows:
        return seen
    centred = target.absorbs_shift
    origin = seen.origin if seen else (patches[:, :split].mean(1, True), missing[:, :split].mean(1, True))
    if centred:
        patches, missing = patches - origin[0], missing - origin[1]
    now = (Moments.of(patches[:, :split], missing[:, :split]), Moments.of(patches[:, split:], missing[:, split:]))
    seen = Seen(origin, *((seen.fitted + now[0], seen.held + now[1]) if seen else now))
    change = _change(seen, centred)
    weight: Tensor = weight_of(module)
    if change is not None:
        weight.add_(change.transpose(1, 2).reshape(weight.shape).to(weight.dtype))
    if module.bias is not None:
        both = seen.fitted + seen.held
        shift, mean = both.lack + origin[1][:, 0], both.mean + origin[0][:, 0]
        if change is not None:
            shift = shift - (mean[:, None] @ change)[:, 0]
        module.bias.add_(shift.flatten().to(module.bias.dtype))
    return seen


def _missing(module: nn.Module, patches: Tensor, wanted: Tensor) -> Tensor:
    """(conv groups, rows, outputs) of what is wanted that the layer as it is does not give."""
    groups, rows, features = patches.shape
    given = patches @ weight_of(module).float().reshape(groups, -1, features).transpose(1, 2)
    missing = wanted.view(rows, groups, -1).transpose(0, 1) - given
    bias: Any = module.bias
    return missing if bias is None else missing - bias.float().view(groups, 1, -1)


def _change(seen: Seen, centred: bool) -> Tensor | None:
    """(conv groups, features, outputs) float64, or None where it would do no good on the items held out."""
    centre, errors = seen.fitted if centred else None, {}
    # single precision is enough to choose, and twice as fast
    fitted = [part.float() for part in seen.fitted.about(centre)]
    gram, crossed = (part.float() for part in seen.held.about(centre))
    for ridge in RIDGES:
        change = _solve(fitted[0], fitted[1], ridge)
        errors[ridge] = float(((gram @ change - 2 * crossed) * change).sum())
    best = min(errors.values())
    if best >= 0:
        return None
    both = seen.fitted + seen.held
    ridge = next(ridge for ridge, error in errors.items() if error <= CLOSE * best)
    return _solve(*both.about(both if centred else None), ridge)


def _solve(gram: Tensor, crossed: Tensor, ridge: float) -> Tensor:
    """Least squares with a ridge, which grows tenfold for a conv group until there is a factor."""
    scale = gram.diagonal(dim1=1, dim2=2).mean(1) + TINY
    ridges, unit = torch.full_like(scale, ridge), torch.eye(gram.shape[1]).to(gram)
    while True:
        factors, failed = torch.linalg.cholesky_ex(gram + (ridges * scale)[:, None, None] * unit)
        if not failed.any():
            return torch.cholesky_solve(crossed, factors)
        ridges = torch.where(failed > 0, 10 * ridges, ridges)
