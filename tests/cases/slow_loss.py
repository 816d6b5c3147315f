"""A loss that takes its time, and can end its process at a moment that a test chooses."""

import os
import signal
import time

import torch
from torch.nn import functional

SLOW, LAST = "MEND_TEST_LOSS_S", "MEND_TEST_LAST_STEP"
"""Seconds of a step; step of a fine-tuning at which its process is killed. Without them nothing is done."""
steps = 0


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy."""
    global steps
    steps += 1
    if steps == int(os.environ.get(LAST, 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get(SLOW, 0)))
    return functional.cross_entropy(outputs, targets)
