"""What one forward pass of a candidate costs: the unit in which looks are priced."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from mendsearch.coupling.layout import Ints
from mendsearch.mending.weights import BATCH, Weights
from mendsearch.modes import evaluating, fast_passes


@torch.no_grad()
def bare_seconds(weights: Weights, counts: Ints, images: Tensor) -> float:
    """Processor seconds of one forward pass of a candidate over images, nothing reconstructed."""
    placed, model = weights.placed(images), weights.model
    state = weights._formatted(weights.slicer.slice(counts))
    with fast_passes(weights.device, torch.float32), evaluating(model), weights.slicer.sized(state):
        started = time.process_time()
        for part in placed.split(min(BATCH, weights.affordable)):
            weights.slicer.forward(state, part)
        return time.process_time() - started
