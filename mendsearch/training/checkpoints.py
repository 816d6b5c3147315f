"""Checkpoints of a training: tensors and JSON in one safetensors file, which is safe to read from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mendsearch.files import read_metadata, read_tensors, write_tensors

MODEL, OPTIMIZER, PROGRESS = "model/", "optimizer/", "progress"

Schedule = torch.optim.lr_scheduler.LRScheduler


def write_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, epoch: int, loss: float
) -> None:
    """Write all that a training needs to go on as if it had not been interrupted.

    Args:
        path: path of the file, which exists complete or not at all.
        model: network.
        optimizer: its optimizer.
        schedule: the optimizer's schedule.
        epoch: number of passes that are done.
        loss: mean loss of the last one.
    """
    state = optimizer.state_dict()
    tensors = {f"{MODEL}{name}": value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    rest: dict[str, dict[str, Any]] = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIMIZER}{number}/{name}"] = value
            else:
                rest.setdefault(str(number), {})[name] = value
    progress = {
        "epoch": epoch, "loss": loss, "schedule": schedule.state_dict(), "groups": state["param_groups"], "rest": rest
    }  # fmt: skip
    write_tensors(path, tensors, {PROGRESS: json.dumps(progress)})


def read_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule
) -> tuple[int, float]:
    """Take up a training where `write_checkpoint` left it.

    Returns:
        number of passes that are done, and the mean loss of the last one.

    Raises:
        UsageError: the file is damaged.
        RuntimeError: its tensors have other shapes than the network's.
    """
    tensors, progress = read_tensors(path), json.loads(read_metadata(path)[PROGRESS])
    values: dict[int, dict[str, Any]] = {int(number): dict(found) for number, found in progress["rest"].items()}
    for key, tensor in tensors.items():
        if key.startswith(OPTIMIZER):
            number, _, name = key.removeprefix(OPTIMIZER).partition("/")
            values.setdefault(int(number), {})[name] = tensor
    weights = {key.removeprefix(MODEL): value for key, value in tensors.items() if key.startswith(MODEL)}
    model.load_state_dict({**model.state_dict(), **weights})  # extra state of modules is not kept
    optimizer.load_state_dict({"state": values, "param_groups": progress["groups"]})
    schedule.load_state_dict(progress["schedule"])
    return int(progress["epoch"]), float(progress["loss"])
