"""A pruned network in a folder: weights as safetensors, the rest as JSON. Nothing is pickled or unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mendsearch.coupling.copying import state_of
from mendsearch.coupling.sizes import unwritten_sizes
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import ModelError
from mendsearch.files import write_json, write_tensors
from mendsearch.importing import is_import_path
from mendsearch.models.registry import build_model

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


@dataclass(frozen=True, eq=False)
class Pruned:
    """Result of a search.

    Attributes:
        model: plain dense `nn.Module` with fewer channels, in evaluation mode.
        keep_counts: number of channels kept, by coupling group.
        score: agreement with the dense network on the validation images, before any fine-tuning (`Scorer`).
        macs: multiply-accumulates for one image.
        params: number of parameters.
        study: the Optuna study, with every trial.
    """

    model: nn.Module
    keep_counts: Mapping[str, int]
    score: float
    macs: int
    params: int
    study: optuna.Study = field(repr=False)


def save(
    pruned: Pruned | nn.Module, folder: str | Path, *, name: str | None = None, kwargs: Mapping[str, Any] | None = None
) -> None:
    """Write a pruned network to a folder.

    Args:
        pruned: result of `mend`, or a network made from its `model`, such as a fine-tuned one.
        folder: folder to write to, created if needed; files of an earlier `save` are replaced.
        name: name of the dense network, from which `load` can build it: a built-in name, `torchvision:NAME` or
            `package.module:factory`. Without it, `load` must be given the dense network.
        kwargs: keyword arguments of the network's factory.
    """
    model = pruned if isinstance(pruned, nn.Module) else pruned.model
    description: dict[str, Any] = {
        "format": FORMAT,
        "model": {
            "name": name,
            "kwargs": dict(kwargs or {}),
            "class": f"{type(model).__module__}.{type(model).__qualname__}",
        },
        "sizes": unwritten_sizes(model),
    }
    if isinstance(pruned, Pruned):
        description |= {
            "keep_counts": dict(pruned.keep_counts),
            "score": pruned.score,
            "macs": pruned.macs,
            "params": pruned.params,
        }
    write_tensors(Path(folder) / WEIGHTS, state_of(model))
    write_json(Path(folder) / DESCRIPTION, description)


def load(folder: str | Path, model: nn.Module | None = None) -> nn.Module:
    """Load a pruned network from a folder, as a plain dense `nn.Module` in evaluation mode.

    Args:
        folder: folder that `save` wrote, or `model/` of a run folder.
        model: the dense network; its weights do not matter, and it is not changed. Required if the folder names no
            factory, or an import path: importing runs code, and a folder must not choose what runs.

    Raises:
        ModelError: the folder holds no pruned network, or `model` does not fit it.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        state = load_file(folder / WEIGHTS)
        name, kwargs = description["model"]["name"], dict(description["model"]["kwargs"])
    except (
        OSError,
        SafetensorError,
        json.JSONDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"{folder} holds no pruned network: {type(error).__name__}: {error}; try a folder that `save` wrote"
        ) from error
    if description.get("format") != FORMAT:
        raise ModelError(
            f"{folder}: got format {description.get('format')}, expected {FORMAT}; it was written by another version"
        )
    if model is None:
        if name is None or is_import_path(name):
            maker = f"`{name}`" if name else description["model"]["class"]
            raise ModelError(
                f"{folder} is a network of {maker}; build the dense one and pass it: mendsearch.load(folder, model=…)"
            )
        if "weights" in kwargs:
            kwargs["weights"] = None  # they would be downloaded only to be replaced
        model = build_model(name, kwargs)
    return build_pruned(model, state, description.get("sizes")).eval()
