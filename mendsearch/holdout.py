"""Which calibration items layers are fitted to, and which ones choose how far."""

from __future__ import annotations

import torch
from torch import Tensor

HELD = 0.25
"""Fraction of the items that is held out, at the least one group of them."""


def arrange(groups: Tensor, count: int) -> tuple[Tensor, int]:
    """Draw items, and hold some out; the same draw every time, however the items were sorted.

    Images that belong together (crops of one photograph, frames of one video) are fitted to or held out together, and
    as many groups as possible take part. Where all items are of one group, each counts as its own.

    Args:
        groups: (N,) int64, which items belong together.
        count: items wanted, up to N.

    Returns:
        (count,) int64, indices of items, those held out last; and the number of those that are not.
    """
    _, groups = torch.unique(groups.cpu(), return_inverse=True)
    if not groups.any():
        groups = torch.arange(len(groups))
    generator = torch.Generator().manual_seed(0)
    place = torch.randperm(int(groups.max()) + 1, generator=generator)[groups]
    shuffled = torch.randperm(len(groups), generator=generator)
    shuffled = shuffled[place[shuffled].argsort(stable=True)]
    sizes = torch.bincount(place)
    turn = torch.arange(len(groups)) - (sizes.cumsum(0) - sizes)[place[shuffled]]
    drawn = shuffled[turn.argsort(stable=True)][:count]  # one image of every group, then a second one, and so on
    drawn = drawn[place[drawn].argsort(stable=True)]
    last = place[drawn]
    taken = torch.unique(last, return_counts=True)[1].cumsum(0)
    if len(taken) < 2:
        return drawn, count
    wanted = (1 - HELD) * count
    return drawn, int(taken[:-1][(taken[:-1] - wanted).abs().argmin()])
