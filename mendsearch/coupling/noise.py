"""Noise on weights: so that what is zero in a network is checked too, and to see what rounding alone would change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mendsearch.coupling.tracing import own_tensors

NOISE = 0.1
"""Noise on the weights, relative to their spread, so that channels that are zero in this network are checked too."""
ROUNDINGS = 4
"""Size of what rounding does to a value, in units of its last place."""


def noisy(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those in floating point with a little noise."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in own_tensors(model).items():
        value = tensor.detach()
        noise = NOISE * torch.randn(value.shape, generator=generator).to(value.device, value.dtype)
        if value.numel() > 1 and bool((value >= 0).all()):  # variances and masks keep their sign
            tensors[name] = value * (1 + noise.abs()) if value.any() else noise.abs()
        else:
            spread = value.float().std() if value.numel() > 1 else value.float().abs().sum()
            tensors[name] = value + noise * (spread.to(value.dtype) if spread > 0 else 1.0)
    return tensors


def nudged(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """A tensor as rounding might leave it."""
    if not tensor.is_floating_point():
        return tensor
    noise = torch.randn(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
    return tensor * (1 + ROUNDINGS * torch.finfo(tensor.dtype).eps * noise)
