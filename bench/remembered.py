"""A teacher that computes each batch once: fine-tunings with the same seed have the same batches."""

from __future__ import annotations

import hashlib

from torch import Tensor, nn


class Remembered(nn.Module):
    """A network in evaluation mode that remembers what it gave for a batch.

    Args:
        model: the network; one tensor in, one tensor out.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self._outputs = model, dict[bytes, Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        """Outputs for a batch."""
        key = hashlib.sha1(images.contiguous().numpy().tobytes(), usedforsecurity=False).digest()
        if key not in self._outputs:
            self._outputs[key] = self.model(images)
        return self._outputs[key]
