"""Checkpoints come from other machines: tensors and JSON, and the training goes on as it was."""

import json

import pytest
import torch
from safetensors import safe_open

from mendsearch.errors import UsageError
from mendsearch.training.checkpoints import PROGRESS, read_checkpoint, write_checkpoint
from tests.zoo import IMAGES, build


def training(seed=0, momentum=0.9):
    model = build("residual", seed=seed)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum, nesterov=momentum > 0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
    return model, optimizer, schedule


def step(model, optimizer, schedule):
    optimizer.zero_grad()
    model(IMAGES).square().mean().backward()
    optimizer.step()
    schedule.step()


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_training_goes_on_bit_by_bit(tmp_path, momentum):
    whole = training(momentum=momentum)
    for _ in range(2):
        step(*whole)
    write_checkpoint(tmp_path / "c", *whole, epoch=2, loss=0.125)
    other = training(seed=5, momentum=momentum)
    assert read_checkpoint(tmp_path / "c", *other) == (2, 0.125)
    for run in (whole, other):
        for _ in range(3):
            step(*run)
    ours, theirs = whole[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert whole[2].get_last_lr() == other[2].get_last_lr()


def test_the_file_holds_tensors_and_json_alone(tmp_path):
    run = training()
    step(*run)
    write_checkpoint(tmp_path / "c", *run, epoch=1, loss=1.0)
    with safe_open(tmp_path / "c", "pt") as file:
        assert json.loads(file.metadata()[PROGRESS])["epoch"] == 1


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "c").write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match="missing or damaged"):
        read_checkpoint(tmp_path / "c", *training())
