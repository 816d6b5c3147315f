"""Networks to folders and back, and structures onto networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mendsearch.artifacts.describing import describe
from mendsearch.artifacts.folder import Saved, read_folder, read_structure, write_folder
from mendsearch.artifacts.matching import check_network
from mendsearch.artifacts.pruned import Pruned
from mendsearch.artifacts.structure import PrunedStructure
from mendsearch.coupling.copying import named_tensors, unwrapped
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import ModelError
from mendsearch.importing import is_import_path
from mendsearch.models.registry import build_model


def save(
    pruned: Pruned | nn.Module, folder: str | Path, *, name: str | None = None, kwargs: Mapping[str, Any] | None = None
) -> None:
    """Write a pruned network to a folder.

    Args:
        pruned: result of `mend`; or any network, whose structure is then saved without kept channels.
        folder: folder to write to, created if needed; files of an earlier `save` are replaced.
        name: name of the dense network, from which `load` can build it: a built-in name, `torchvision:NAME` or
            `package.module:factory`. Without it, `load` must be given the dense network.
        kwargs: keyword arguments of the network's factory.
    """
    if isinstance(pruned, Pruned):
        pruned.save(folder, name=name, kwargs=kwargs)
    else:
        model = unwrapped(pruned)
        write_folder(folder, model, describe(model), name=name, kwargs=kwargs, figures={})


def load(folder: str | Path, model: nn.Module | None = None) -> nn.Module:
    """Load a pruned network from a folder, as a plain dense `nn.Module` in evaluation mode.

    Args:
        folder: folder that `save` wrote, or `model/` of a run folder.
        model: the dense network; its weights do not matter, and it is not changed. Required if the folder names no
            factory, or an import path: importing runs code, and a folder must not choose what runs.

    Raises:
        ModelError: the folder holds no pruned network, or `model` is another network than was pruned.
    """
    saved = read_folder(folder)
    dense = unwrapped(built(saved, folder) if model is None else model)
    check_network(dense, saved.structure, str(folder))
    for name, tensor in saved.structure.tensors.items():
        shape = list(saved.state[name].shape) if name in saved.state else None
        if shape != tensor.shape:
            raise ModelError(
                f"{folder} is damaged: `{name}`: got shape {shape}, expected {tensor.shape}; save it again"
            )
    return build_pruned(dense, saved.state, saved.structure.sizes).eval()


def built(saved: Saved, folder: str | Path) -> nn.Module:
    """The dense network that a folder names, without its weights.

    Raises:
        ModelError: it has no name, or one that is an import path.
    """
    if saved.name is None or is_import_path(saved.name):
        maker = f"`{saved.name}`" if saved.name else saved.structure.network
        raise ModelError(
            f"{folder} is a network of {maker}; build the dense one and pass it: mendsearch.load(folder, model=…)"
        )
    kwargs = saved.kwargs
    if "weights" in kwargs:
        kwargs = kwargs | {"weights": None}  # they would be downloaded only to be replaced
    return build_model(saved.name, kwargs)


def apply(model: nn.Module, structure: PrunedStructure | str | Path) -> nn.Module:
    """Take the channels of a structure out of a dense network: slices of its weights, without reconstruction.

    Fine-tune the result, or estimate its batch norms again: `mend` compensates weights, this does not.

    Args:
        model: the dense network, with weights of its own; not changed.
        structure: of a pruned network: `Pruned.structure`, a `structure.json`, or the folder that holds it.

    Returns:
        A plain dense `nn.Module` in the modes of `model`.

    Raises:
        ModelError: there is no structure, it says nothing of the dense network, or it is of another one.
    """
    what = "structure" if isinstance(structure, PrunedStructure) else str(structure)
    if not isinstance(structure, PrunedStructure):
        structure = read_structure(structure)
    if not structure.sliced:
        raise ModelError(f"{what} does not say which channels stay; try one that a run or `mend` wrote")
    dense = unwrapped(model)
    check_network(dense, structure, what)
    state = {name: tensor.detach() for name, tensor in named_tensors(dense).items()}
    for name, tensor in structure.tensors.items():
        for dim, kept in tensor.kept.items():
            indices = torch.tensor(structure.indices(kept), device=state[name].device)
            state[name] = state[name].index_select(dim, indices)
    return build_pruned(dense, state, structure.sizes)
