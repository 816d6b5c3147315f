"""Gradients that are clipped where no batch norm keeps them in bounds.

Behind a batch norm the scale of a weight does not matter. Where layer norms stand in front of the weights instead, and
where there are none, a reconstructed network may have gradients a thousand times those of the dense one, and SGD ruins
it within a few steps. So the gradient of every unit is held to a part of the norm of its weights.

Reference: Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", ICML 2021, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOST = 0.1
"""λ of equation 3: a gradient's norm as a fraction of the weight's."""
LEAST = 1e-3
"""ε of equation 3: norm that a weight counts with at the least, so that one that is zero can learn."""
SCALED = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm)
"""Norms that stand behind the weights."""


def is_clipped(model: nn.Module) -> bool:
    """Whether the gradients of a network are clipped: it has layer norms, or none of the other norms."""
    modules = list(model.modules())
    layer_norms = any(isinstance(module, nn.LayerNorm | nn.RMSNorm) for module in modules)
    return layer_norms or not any(isinstance(module, SCALED) for module in modules)


@torch.no_grad()
def clip(parameters: Iterable[Tensor]) -> None:
    """Shorten the gradients that are too long, in place.

    Args:
        parameters: weights (units, ...), and vectors, each of which is one unit; those without a gradient stay.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            length = _norms(parameter.grad)
            longest = MOST * _norms(parameter).clamp(min=LEAST)
            parameter.grad.mul_(torch.where(length > longest, longest / length, 1.0))


def _norms(values: Tensor) -> Tensor:
    """Of the units, in a shape that broadcasts to the values."""
    whole = tuple(range(1 if values.ndim > 1 else 0, values.ndim))
    found: Tensor = torch.linalg.vector_norm(values, dim=whole or None, keepdim=True)
    return found
