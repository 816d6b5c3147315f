"""The loss of the U-Net: cross-entropy, and the Dice loss, which counts a class alike however few pixels it has."""

from torch import Tensor
from torch.nn import functional


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """A scalar, of logits (N, num_classes, H, W) and masks (N, H, W) int64."""
    likely, wanted = logits.softmax(1), functional.one_hot(masks, logits.shape[1]).permute(0, 3, 1, 2)
    both, either = (likely * wanted).sum((0, 2, 3)), (likely + wanted).sum((0, 2, 3))
    return functional.cross_entropy(logits, masks) + 1 - ((2 * both + 1) / (either + 1)).mean()
