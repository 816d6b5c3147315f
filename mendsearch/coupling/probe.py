"""Check, before any work, that the network bears the loss of channels as its coupling groups say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.coupling.slicing import Slicer
from mendsearch.errors import CouplingError
from mendsearch.modes import evaluating

MIXES_CHANNELS = (nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TOLERANCE = 1e-3


@torch.no_grad()
def probe(model: nn.Module, coupling: Coupling, images: Tensor) -> None:
    """Run the least candidate and a middle one, and hold the middle one against the dense network.

    A channel that no consumer weighs any more cannot matter: the dense network with those weights at zero must give
    what the slices give. Norms over channels break that law rightly, so a network that has one is only run.

    Args:
        model: the dense network; not changed.
        images: (N, C, H, W); two are enough.

    Raises:
        CouplingError: a forward pass fails (the message says in which layer), or the outputs differ.
    """
    with evaluating(model):
        slicer = Slicer(model, coupling, [np.arange(width)[::-1].copy() for width in coupling.widths])
        images = images[:2].to(next(model.parameters()).device)
        for counts in (np.ones_like(coupling.widths), (coupling.widths + 1) // 2):
            outputs = _run(slicer, counts, images)
        if not any(isinstance(module, MIXES_CHANNELS + TRANSPOSED) for module in model.modules()):
            _compare(slicer, counts, images, outputs)


def _run(slicer: Slicer, counts: Ints, images: Tensor) -> Tensor:
    state = slicer.slice(counts)
    with _layer_names(slicer.model) as entered, slicer.sized(state):
        try:
            return slicer.forward(state, images)  # type: ignore[no-any-return]  # a network may return anything
        except Exception as error:  # a forward may raise anything
            layer = entered[-1] if entered else "the network itself"
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            raise CouplingError(
                f"the forward pass fails once channels go, in `{layer}`: {reason}; take sizes from the tensors there, "
                f"or keep the layer that feeds it whole with [prune] exclude"
            ) from error


@contextmanager
def _layer_names(model: nn.Module) -> Iterator[list[str]]:
    """Names of the modules that are being run, outermost first."""
    running: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(lambda _m, _i, name=name: running.append(name)))
            hooks.append(module.register_forward_hook(lambda _m, _i, _o: running.pop() and None))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


def _compare(slicer: Slicer, counts: Ints, images: Tensor, sliced: Tensor) -> None:
    masked, indices = dict(slicer.dense), slicer.kept(counts)
    for consumer in slicer.coupling.consumers:
        if consumer.conv_groups > 1:
            return
        name = f"{consumer.layer}.weight"
        kept = torch.zeros(masked[name].shape[1], device=masked[name].device)
        kept[indices[consumer.inputs]] = 1
        masked[name] = masked[name] * kept.view(-1, *[1] * (masked[name].dim() - 2))
    expected = slicer.forward(masked, images)
    if not isinstance(expected, Tensor) or expected.shape != sliced.shape:
        return
    error = float((expected - sliced).abs().max()) / max(1e-6, float(expected.abs().max()))
    if not error < TOLERANCE:
        raise CouplingError(
            f"the slices do not give what the dense network gives without those channels: got a relative difference "
            f"of {error:.2g}, expected below {TOLERANCE}; something in the forward pass moves or mixes channels (a "
            f"channel shuffle, a softmax over channels): keep the layers that feed it whole with [prune] exclude"
        )
