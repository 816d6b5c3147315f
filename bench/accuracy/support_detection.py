"""Detectors of torchvision as modules of one tensor: what their backbones and heads give, before boxes are chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Heads(nn.Module):
    """One-stage detectors: RetinaNet, FCOS, SSD.

    Args:
        model: the detector.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Any:
        """Logits and box regressions for images (N, 3, H, W), by name."""
        listed, _ = self.model.transform(list(images))
        features = self.model.backbone(listed.tensors)
        return self.model.head(list(features.values()) if isinstance(features, dict) else [features])


class RegionHeads(nn.Module):
    """Two-stage detectors: Faster, Mask and Keypoint R-CNN, with two fixed proposals an image.

    Args:
        model: the detector.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Any:
        """Outputs of the region proposal network and of every head of regions for images (N, 3, H, W)."""
        listed, _ = self.model.transform(list(images))
        features = self.model.backbone(listed.tensors)
        outputs = [*self.model.rpn.head(list(features.values()))]
        proposals = [torch.tensor([[0.0, 0.0, 60.0, 60.0], [30.0, 20.0, 110.0, 90.0]]).to(images) for _ in images]
        heads = self.model.roi_heads
        for kind in ("box", "mask", "keypoint"):
            pool = getattr(heads, f"{kind}_roi_pool", None)
            if pool is not None:
                regions = pool(features, proposals, listed.image_sizes)
                outputs.append(getattr(heads, f"{kind}_predictor")(getattr(heads, f"{kind}_head")(regions)))
        return outputs


def detector(model: Any, size: int) -> nn.Module:
    """A detector of torchvision, for images of that side, in pixels, as a module of one tensor."""
    model.transform.min_size, model.transform.max_size, model.transform.fixed_size = (size,), size, None
    return RegionHeads(model) if hasattr(model, "roi_heads") else Heads(model)
