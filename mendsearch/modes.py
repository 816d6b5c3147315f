"""Modes of a network that are put back as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mendsearch.batches import Batch, BatchLike


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Within the scope every module is in evaluation mode; each goes back to its own mode, whatever happens."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """A scope that puts back the buffers of a network: some count their passes, or keep averages in every mode."""
    kept = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, before in kept:
                setattr(module, name, buffer.copy_(before))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A scope of evaluation mode that leaves no trace, in which PyTorch's attention layers do not take their fast path.

    That path hides the layers and products inside them.
    """
    with evaluation_mode(model), unchanged(model), plain_attention():
        yield


class _FastAttention:
    """PyTorch's setting is one for all threads: the first scope that forbids it keeps what the last one puts back."""

    def __init__(self) -> None:
        self._lock, self._forbidden, self._before = threading.Lock(), 0, True

    def forbid(self) -> None:
        with self._lock:
            if not self._forbidden:
                self._before = torch.backends.mha.get_fastpath_enabled()
            self._forbidden += 1
            torch.backends.mha.set_fastpath_enabled(False)

    def restore(self) -> None:
        with self._lock:
            self._forbidden -= 1
            if not self._forbidden:
                torch.backends.mha.set_fastpath_enabled(self._before)


_FAST_ATTENTION = _FastAttention()


@contextmanager
def plain_attention() -> Iterator[None]:
    """A scope in which `nn.MultiheadAttention` and transformer layers do not run as one fused operator."""
    _FAST_ATTENTION.forbid()
    try:
        yield
    finally:
        _FAST_ATTENTION.restore()


def to_network(inputs: BatchLike, model: nn.Module) -> Batch:
    """Inputs on the device of a network, those in floating point in the dtype in which it computes."""
    parameter = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    return Batch.of(inputs).to(parameter.device, parameter.dtype)


Seen = Callable[[str, Any, Any, Any], None]


@torch.no_grad()
def run_one(model: nn.Module, inputs: Batch, modules: Mapping[str, nn.Module], seen: Seen) -> None:
    """Run the first item, and show what some modules read and put out.

    Args:
        model: the network; run in evaluation mode.
        inputs: of the network.
        modules: modules that are watched, by name.
        seen: called after each of them with its name, the module, its arguments by position, and its output.
    """
    hooks = [
        module.register_forward_hook(lambda m, given, output, name=name: seen(name, m, given, output))
        for name, module in modules.items()
        if not isinstance(module, torch.jit.ScriptModule)  # it bears no hooks
    ]
    try:
        with evaluating(model):
            to_network(inputs[:1], model).call(model)
    finally:
        for hook in hooks:
            hook.remove()


BatchNorm = nn.modules.batchnorm._BatchNorm


@contextmanager
def averaging(model: nn.Module) -> Iterator[None]:
    """Within the scope batch norms keep the plain average over batches; all else is in evaluation mode."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm) and module.track_running_stats]
    momenta = [module.momentum for module in norms]
    with evaluation_mode(model), plain_attention():
        try:
            for module in norms:
                module.training, module.momentum = True, None
            yield
        finally:
            for module, momentum in zip(norms, momenta, strict=True):
                module.momentum = momentum


def fast_passes(device: torch.device, dtype: torch.dtype = torch.float32) -> torch.autocast:
    """A scope of bfloat16 autocast where the device computes in it; one that changes nothing where it does not.

    Twice as fast or more on a CPU with AVX-512 BF16 and on CUDA devices of compute capability 8 and above.
    """
    if device.type == "cuda":
        computes = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        computes = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=computes and dtype == torch.float32)


def bears_fast_passes(model: nn.Module, inputs: Batch) -> bool:
    """Whether a network runs in the scope of `fast_passes`.

    Some operators take tensors of one dtype only, such as `nn.Bilinear` and assignments by index, and autocast leaves
    them some of each.

    Args:
        model: the network; run in evaluation mode.
        inputs: some items, on its device.
    """
    with torch.no_grad(), evaluating(model):
        try:
            with fast_passes(next(model.parameters()).device):
                inputs.call(model)
        except Exception:  # whatever the network's own code makes of another dtype
            return False
    return True
