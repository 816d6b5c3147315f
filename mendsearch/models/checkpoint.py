"""Weights from a file, without unpickling anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mendsearch.errors import ModelError


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Load the weights in `path` into `model`, all of them or none.

    Args:
        model: network, changed in place.
        path: `.safetensors`, or a file of `torch.save` that `weights_only=True` can read: a state dict, alone or under
            a key such as `state_dict` or `model_state_dict`. What stands before the network's names there is removed,
            such as `module.` of DataParallel or `_orig_mod.` of `torch.compile`.

    Raises:
        ModelError: the file is missing, is not a checkpoint, holds more than tensors, or does not fit the network.
    """
    wanted = model.state_dict()
    state = _read(path, wanted.keys())
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    if missing or unexpected:
        what = f"it lacks {_some(missing)}" if missing else f"it holds {_some(unexpected)}, which the network lacks"
        raise ModelError(f"checkpoint {path} does not fit the network: {what}; check [model] name and kwargs")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"checkpoint {path} does not fit the network: {name}: got {tuple(tensor.shape)}, expected "
                f"{tuple(wanted[name].shape)}; check [model] kwargs"
            )
    model.load_state_dict(state, strict=False)


def _read(path: Path, wanted: Set[str]) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"checkpoint {path} is missing; give a .safetensors or .pt file")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # a file that is not a checkpoint can fail in any way
        raise ModelError(
            f"checkpoint {path} cannot be read as tensors alone ({type(error).__name__}); save `model.state_dict()` as "
            f".safetensors"
        ) from error
    found = [loaded, *loaded.values()] if isinstance(loaded, dict) else []
    states = [{str(name): tensor for name, tensor in state.items()} for state in found if _is_state(state)]
    if not states:
        raise ModelError(f"checkpoint {path} holds no state dict; save `model.state_dict()` as .safetensors")
    stripped = [_without_prefix(state, wanted) for state in states]
    return max(stripped, key=lambda state: len(state.keys() & wanted))


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(tensor, Tensor) for tensor in value.values())


def _without_prefix(state: dict[str, Tensor], wanted: Set[str]) -> dict[str, Tensor]:
    """A state dict without what stands there before most names of a network; of equally many, the shortest."""
    before = Counter(name[:at] for name in state for at in (0, *_behind_dots(name)) if name[at:] in wanted)
    prefix = max(before, key=lambda prefix: (before[prefix], -len(prefix)), default="")
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _behind_dots(name: str) -> list[int]:
    return [at + 1 for at, character in enumerate(name) if character == "."]


def _some(names: list[str]) -> str:
    return f"`{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
