"""Weights from a file, without unpickling anything."""

from __future__ import annotations

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
            the key `state_dict` or `model`. The prefix `module.` of DataParallel is removed.

    Raises:
        ModelError: the file is missing, is not a checkpoint, holds more than tensors, or does not fit the network.
    """
    state = _read(path)
    wanted = model.state_dict()
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


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"checkpoint {path} is missing; give a .safetensors or .pt file")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # a file that is not a checkpoint can fail in any way
        raise ModelError(
            f"checkpoint {path} cannot be read as tensors alone ({type(error).__name__}); save `model.state_dict()` as "
            f".safetensors"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ModelError(f"checkpoint {path} holds no state dict; save `model.state_dict()` as .safetensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


def _some(names: list[str]) -> str:
    return f"`{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
