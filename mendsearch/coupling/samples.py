"""What the modules of a pass give, as samples: two passes are compared without the memory of all their tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.coupling.nesting import tensors_in

SAMPLE = 2**18
"""Values of a module's output that are compared; of a larger output, that many evenly spread ones."""
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 2e-1}
"""Largest difference, relative to the largest value of the tensor."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Values of a tensor, copied, since what follows may change it in place."""

    shape: torch.Size
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> Sample:
        """A sample of a tensor; of tensors of one shape the same places."""
        step = -(-tensor.numel() // SAMPLE) or 1
        while math.gcd(step, tensor.numel()) > 1:  # a step that divides a dimension would see a part of it alone
            step += 1
        return cls(tensor.shape, tensor.flatten()[::step].clone())

    def close_to(self, other: Sample) -> bool:
        """Whether they are of one shape, with values that are the same up to rounding."""
        left, right = self.values, other.values
        if self.shape != other.shape:
            return False
        if not left.is_floating_point() or not left.numel():
            return True
        finite = torch.isfinite(left)
        if not torch.equal(finite, torch.isfinite(right)):
            return False
        scale = float(torch.where(finite, left, 0).abs().max())
        error = float(torch.where(finite, left - right, 0).abs().max())
        return error <= TOLERANCE.get(left.dtype, 1e-3) * max(scale, 1e-6)


@contextmanager
def outputs_noted(model: nn.Module, outputs: list[tuple[str, list[Sample]]]) -> Iterator[None]:
    """Within the scope, what every module gives is noted."""

    def note(name: str, given: Any) -> None:
        outputs.append((name, [Sample.of(tensor) for tensor in tensors_in(given)]))

    hooks = [
        module.register_forward_hook(lambda _m, _i, o, name=name: note(name, o))
        for name, module in model.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
