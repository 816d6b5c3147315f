"""The folder of a pruned network: weights as safetensors, the rest as JSON. Nothing is pickled or unpickled.

========================  ==============================================================================
`model.safetensors`       parameters and buffers
`structure.json`          which channels stay, and the layers that they are taken from (`PrunedStructure`)
`model.json`              name of the network, its factory's arguments, and figures of the search
========================  ==============================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mendsearch.artifacts.structure import PrunedStructure
from mendsearch.coupling.copying import state_of
from mendsearch.errors import ModelError
from mendsearch.files import write_json, write_tensors, write_text
from mendstore.records.base import RecordError

FORMAT = 2
"""Version of the folder's layout."""
WEIGHTS, STRUCTURE, DESCRIPTION = "model.safetensors", "structure.json", "model.json"
OF_A_RUN = "model"
"""Where the folder of a run has that of its network."""
_NUMBERS = re.compile(r"\[[\s\d,]+\]")


@dataclass(frozen=True, eq=False)
class Saved:
    """What a folder holds.

    Attributes:
        state: parameters and buffers by name.
        structure: of the network.
        name: name of the dense network, or None.
        kwargs: arguments of its factory.
    """

    state: Mapping[str, Tensor]
    structure: PrunedStructure
    name: str | None
    kwargs: dict[str, Any]


def write_folder(
    folder: str | Path,
    model: nn.Module,
    structure: PrunedStructure,
    *,
    name: str | None,
    kwargs: Mapping[str, Any] | None,
    figures: Mapping[str, Any],
) -> None:
    """Write a network to a folder, which is created if needed; files of an earlier one are replaced.

    Args:
        folder: folder to write to.
        model: the pruned network.
        structure: its structure.
        name: name of the dense network, if it has one.
        kwargs: keyword arguments of its factory.
        figures: JSON values to keep with it.
    """
    folder = Path(folder)
    write_tensors(folder / WEIGHTS, state_of(model))
    write_structure(folder / STRUCTURE, structure)
    description = {"format": FORMAT, "model": {"name": name, "kwargs": dict(kwargs or {})}, **figures}
    write_json(folder / DESCRIPTION, description)


def read_folder(folder: str | Path) -> Saved:
    """What `write_folder` wrote to this folder, or to `model/` in the folder of a run.

    Raises:
        ModelError: the folder holds no pruned network, or one of another version.
    """
    folder = _network_in(Path(folder))
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise ModelError(
                f"{folder}: got format {description['format']}, expected {FORMAT}; it was written by another version"
            )
        name, kwargs = description["model"]["name"], dict(description["model"]["kwargs"])
        state = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} holds no pruned network: it has no {Path(error.filename or DESCRIPTION).name}; give "
            f"the folder of a finished run, such as runs/mine, or one that `mendsearch.save` wrote"
        ) from error
    except (OSError, SafetensorError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder} holds no pruned network: {type(error).__name__}: {error}; try a folder that `save` wrote"
        ) from error
    return Saved(state, read_structure(folder / STRUCTURE), name, kwargs)


def _network_in(folder: Path) -> Path:
    inner = folder / OF_A_RUN
    return inner if (inner / DESCRIPTION).is_file() and not (folder / DESCRIPTION).is_file() else folder


def write_structure(path: Path, structure: PrunedStructure) -> None:
    """Write a structure as JSON, with every list of numbers on one line."""
    text = json.dumps(structure.written(), indent=2)
    write_text(path, _NUMBERS.sub(lambda found: f"[{' '.join(found[0][1:-1].split())}]", text) + "\n")


def read_structure(path: str | Path) -> PrunedStructure:
    """The structure in a file, or in the folder of a pruned network.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = Path(path)
    path = _network_in(path) / STRUCTURE if path.is_dir() else path
    try:
        return PrunedStructure.read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecordError) as error:  # a decoding error is a ValueError
        raise ModelError(
            f"{path} holds no structure: {type(error).__name__}: {error}; try the structure.json that `save` wrote"
        ) from error
