"""FastNAS's network at a budget: the search of NVIDIA's Model Optimizer (`pip install nvidia-modelopt`)."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn

CHANNEL_DIVISOR = 2
"""Channels are kept in multiples of it. The peer's default, 32, leaves small networks nothing to choose."""
BATCH = 128
"""Images per pass of its BN calibration."""


def pruned_by_fastnas(model: nn.Module, images: Tensor, rate: float, score: Callable[[nn.Module], float]) -> nn.Module:
    """The network that FastNAS finds, with its own slices of the weights.

    Args:
        model: the dense network.
        images: (N, C, H, W), from which it calibrates batch norms.
        rate: of the dense MACs.
        score: accuracy of a network, which it measures for every width of every layer.

    Raises:
        ModuleNotFoundError: Model Optimizer is not installed.
    """
    from modelopt.torch import prune  # it patches PyTorch where it is imported

    config = prune.fastnas.FastNASConfig()
    config["nn.Conv2d"]["*"]["channel_divisor"] = CHANNEL_DIVISOR
    config["nn.BatchNorm2d"]["*"]["feature_divisor"] = CHANNEL_DIVISOR
    found, _ = prune.prune(
        copy.deepcopy(model),
        mode=[("fastnas", config)],
        constraints={"flops": f"{rate:.2%}"},
        dummy_input=images[:1],
        config={"data_loader": images.split(BATCH), "collect_func": lambda batch: batch, "score_func": score},
    )
    return found.eval()
