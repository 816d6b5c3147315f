"""Latency of several networks, measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import nn

from mendsearch.batches import BatchLike
from mendsearch.modes import evaluation_mode, to_network

ROUNDS = 40


@torch.no_grad()
def latencies_ms(models: Mapping[str, nn.Module], item: BatchLike) -> dict[str, float]:
    """Median milliseconds of a forward pass of one item, on the device of the networks.

    Networks take turns, so that a change of the machine's speed affects all of them. The first round is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS + 1):
        for name, model in models.items():
            device = next(model.parameters()).device
            placed = to_network(item, model)
            with evaluation_mode(model):  # attention as the networks will run it
                started = time.perf_counter()
                placed.call(model)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                taken[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(times[1:]), 4) for name, times in taken.items()}
