"""Copies of networks, the names of their tensors, and calls with other tensors in their place."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mendsearch.errors import ModelError


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside `DataParallel`, `DistributedDataParallel` or `torch.compile`, which share its weights.

    Raises:
        ModelError: a part of it is compiled, it is a TorchScript module or an exported program, has no parameters or
            such as are not initialized, or tensors may not be changed here.
    """
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            break
    for name, module in model.named_modules():
        if isinstance(getattr(module, "_orig_mod", None), nn.Module) or getattr(module, "_compiled_call_impl", None):
            raise ModelError(
                f"{f'`{name}` of the network' if name else 'the network'} is compiled in place; give the network as it "
                f"was before torch.compile, and compile the pruned one"
            )
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "the network is a TorchScript module, whose layers cannot be changed; give the nn.Module it was made from"
        )
    if isinstance(model, torch.fx.GraphModule) and "eval" in vars(model):  # torch.export forbids it
        raise ModelError(
            "the network is an exported program, whose layers are gone; give the nn.Module that was exported"
        )
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ModelError(
                f"`{name}` of the network is not initialized: a lazy layer learns its size from the first pass; run "
                f"the network once, and load its weights"
            )
        if parameter.is_meta:
            raise ModelError(f"`{name}` of the network is on the meta device, without values; load its weights first")
    if not any(parameter.is_floating_point() for parameter in model.parameters()):
        raise ModelError("the network has no parameters, so there is nothing to prune")
    if torch.is_inference_mode_enabled():
        raise ModelError("called inside torch.inference_mode(), where weights cannot be changed; call it outside")
    return model


def dtype_of(model: nn.Module) -> torch.dtype:
    """In which a network computes: that of its first floating-point parameter."""
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())


def bytes_of(tensor: Tensor) -> bytes:
    """Its values as they lie in memory, for a digest."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; one that has several names is there once."""
    state = model.state_dict(keep_vars=True)
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor for name, tensor in named.items() if name in state}


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the state dict, under all their names; extra state of modules is left out."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `state_of` gave.

    Raises:
        RuntimeError: names or shapes differ.
    """
    extra = {name: value for name, value in model.state_dict().items() if not isinstance(value, Tensor)}
    model.load_state_dict({**extra, **state})


def other_names(model: nn.Module) -> dict[str, str]:
    """By further name of a tensor that several modules share, its first name."""
    first = {id(tensor): name for name, tensor in named_tensors(model).items()}
    found = {}
    for prefix, module in model.named_modules():
        for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
            name = f"{prefix}.{key}" if prefix else key
            if tensor is not None and first.get(id(tensor), name) != name:
                found[name] = first[id(tensor)]
    return found


def call(model: nn.Module, state: dict[str, Tensor], others: dict[str, str], *args: Any, **kwargs: Any) -> Any:
    """The outputs of a network whose tensors are replaced for the time of the call.

    `functional_call` ties names by itself, but leaves a module that has two names with the tensors of the call.

    Args:
        model: the network.
        state: tensors by first name.
        others: further names, as `other_names` gives them.
        *args: positional arguments.
        **kwargs: keyword arguments.
    """
    tied = {name: state[first] for name, first in others.items() if first in state}
    return functional_call(model, state | tied, args, kwargs, tie_weights=False)


def copy_network(model: nn.Module) -> nn.Module:
    """A deep copy, also of a network that keeps what deepcopy refuses.

    Activations that are kept as attributes are copied without their history. What cannot be copied at all (a lock, an
    open file) is shared with the original.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
            elif not isinstance(value, nn.Module | dict) and not _copies(value):
                memo[id(value)] = value
    return copy.deepcopy(model, memo)


def _copies(value: object) -> bool:
    if isinstance(value, int | float | str | bool | None | torch.dtype):
        return True
    try:
        copy.deepcopy(value)
    except (TypeError, RuntimeError, NotImplementedError):
        return False
    return True
