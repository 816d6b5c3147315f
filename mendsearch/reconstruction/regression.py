"""The least squares of one layer, changed only as far as items that it was not fitted to bear out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.reconstruction.moments import Moments
from mendsearch.reconstruction.patches import add_to_weight, matrix_of, patches_at
from mendsearch.reconstruction.targets import WIDE, Target
from mendsearch.reconstruction.wide import Rows

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""λ as fractions of the mean variance of a layer's inputs, to choose from."""
CLOSE = 0.95
"""Part of the largest gain on held-out items that the smallest ridge must reach to be chosen: all the items, which
the layer is fitted to in the end, bear a smaller one than three quarters of them."""


@dataclass(eq=False)
class Seen:
    """What one layer has been shown so far, where items come in several passes.

    Attributes:
        origin: of its inputs, (conv groups, 1, features), and of what it lacks, (conv groups, 1, outputs); float32.
        fitted: `Moments`, or `Rows`, over the items that it is fitted to.
        held: the same over those held out.
    """

    origin: tuple[Tensor, Tensor]
    fitted: Any
    held: Any


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
    patches = _by_group(patches_at(module, inputs, target.places))
    missing = _missing(module, patches, wanted)
    rows = patches.shape[1]
    split = fitted * target.places.shape[1]
    if not 0 < split < rows:
        return seen
    centred = target.absorbs_shift
    origin = seen.origin if seen else (patches[:, :split].mean(1, True), missing[:, :split].mean(1, True))
    if centred:
        patches, missing = patches - origin[0], missing - origin[1]
    wide = isinstance(seen.fitted, Rows) if seen else patches.shape[2] > max(WIDE, rows)
    made: Any = Rows.of if wide else Moments.of
    now = (made(patches[:, :split], missing[:, :split]), made(patches[:, split:], missing[:, split:]))
    seen = Seen(origin, *((seen.fitted + now[0], seen.held + now[1]) if seen else now))
    change = _change(seen, centred)
    if change is not None:
        add_to_weight(module, change.transpose(1, 2))
    if module.bias is not None:
        both = seen.fitted + seen.held
        shift, mean = both.lack + origin[1][:, 0], both.mean + origin[0][:, 0]
        if change is not None:
            shift = shift - (mean[:, None] @ change.double())[:, 0]
        module.bias.add_(shift.flatten().to(module.bias.dtype))
    return seen


def _by_group(patches: Tensor) -> Tensor:
    """(conv groups, rows, features) float32 of (rows, conv groups, features), as batched products read them fast.

    Where there are several conv groups, the rows of each lie side by side in memory. In channels-last memory the groups
    would, and every product would copy its inputs group by group.
    """
    if patches.shape[1] == 1:
        return patches.transpose(0, 1).float()
    turned = patches.permute(1, 2, 0).to(torch.float32, memory_format=torch.contiguous_format)
    return turned.contiguous().transpose(1, 2)  # `to` leaves float32 as it lies


def _missing(module: nn.Module, patches: Tensor, wanted: Tensor) -> Tensor:
    """(conv groups, rows, outputs) of what is wanted that the layer as it is does not give."""
    groups, rows, _ = patches.shape
    given = patches @ matrix_of(module).float().transpose(1, 2)
    missing = (wanted.view(rows, groups, -1).transpose(0, 1) - given).contiguous()
    bias: Any = module.bias
    return missing if bias is None else missing - bias.float().view(groups, 1, -1)


def _change(seen: Seen, centred: bool) -> Tensor | None:
    """(conv groups, features, outputs), or None where it would do no good on the items held out."""
    centre, errors = seen.fitted if centred else None, {}
    fitted, held = seen.fitted.about(centre).single(), seen.held.about(centre).single()
    for ridge in RIDGES:
        errors[ridge] = held.error(fitted.solve(ridge))
    best = min(errors.values())
    if best >= 0:
        return None
    both = seen.fitted + seen.held
    ridge = next(ridge for ridge, error in errors.items() if error <= CLOSE * best)
    change: Tensor = both.about(both if centred else None).solve(ridge)
    return change
