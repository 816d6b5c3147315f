"""A device whose time is a known function of the widths, and a clock that only its passes move."""

import torch
from torch import nn

from mendsearch.latency.runtimes.base import Runtime


class Synthetic(Runtime):
    """Every convolution takes 10 µs, and a time in proportion to its MACs at widths rounded up to 8.

    The clock also drifts: every pass is a little slower than the one before.
    """

    name = "synthetic"

    def __init__(self, threads=1, dtype=torch.float32, drift=1e-5):
        super().__init__(threads, dtype)
        self.now, self.speed, self.drift = 0.0, 1.0, drift

    def versions(self):
        return {}

    def device(self):
        return "a synthetic device"

    def prepare(self, model, batch):
        seconds = self.milliseconds(model) / 1000

        def run():
            self.speed *= 1 + self.drift
            self.now += seconds * self.speed

        return run

    def milliseconds(self, model):
        return milliseconds(model)

    def clock(self):
        return self.now


def milliseconds(model):
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return sum(0.01 + 1e-4 * up(one.in_channels) * up(one.out_channels) for one in convolutions)


def up(channels):
    return -(-channels // 8) * 8 if channels > 3 else channels
