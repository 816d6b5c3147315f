"""The small networks as the laws are tested on them: built with a seed, with inputs, and what they give as a list."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.coupling.copying import dtype_of, unwrapped
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.coupling.nesting import tensors_in
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from tests.cases.more_networks import MORE
from tests.cases.networks import TRAPS

NO_NETWORKS = {"scripted": "TorchScript", "traced": "TorchScript", "no_params": "no parameters"}
"""What may be refused, and what the refusal says."""
CASES = TRAPS | MORE
PRUNABLE = [name for name in CASES if name not in NO_NETWORKS]

WITHOUT_GROUPS = {"single_conv", "transposed", "fused_attention", "vmap"}
"""All their channels stay: outputs, sizes written into the forward pass."""
WITH_GROUPS = [name for name in PRUNABLE if name not in WITHOUT_GROUPS]


def build(name: str) -> nn.Module:
    """In evaluation mode, with batch norms that hold what neither noise nor zeros would give."""
    torch.manual_seed(0)
    model = CASES[name][0]()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            nn.init.normal_(module.running_mean, 0, 0.5)
            nn.init.uniform_(module.running_var, 0.3, 3)
    return model.eval()


def inputs_of(name: str, items: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    count = 2 if name == "two_inputs" else 1
    return tuple(torch.randn(items, *CASES[name][1], generator=generator) for _ in range(count))


def cast(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to(dtype_of(model)) for tensor in inputs)


@cache
def analysed(name: str) -> tuple[nn.Module, Coupling]:
    """The network, without what wraps it, and its coupling groups."""
    model = unwrapped(build(name))
    return model, find_coupling(model, inputs_of(name))


def built_candidates(name: str) -> Iterator[tuple[Ints, nn.Module]]:
    """Keep counts (G,) and the built network, of the dense network and of a random candidate."""
    model, coupling = analysed(name)
    generator = np.random.default_rng(0)
    for counts in (coupling.widths, np.array([generator.integers(1, width + 1) for width in coupling.widths])):
        slicer = Slicer(model, coupling, [generator.permutation(width) for width in coupling.widths])
        state = slicer.slice(counts)
        yield counts, build_pruned(model, state, slicer.sizes(state)).eval()


def tensors(outputs: object) -> list[Tensor]:
    return list(tensors_in(outputs))
