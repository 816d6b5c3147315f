"""The score of a candidate: mean intersection over union."""

from torch import Tensor, nn
from torch.nn.functional import one_hot


def mean_iou(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Intersections over unions (N,): for each image, the mean over the classes that are on it, or said to be."""
    images, masks = batch
    logits = model(images)
    classes = logits.shape[1]
    found, wanted = one_hot(logits.argmax(1), classes).bool(), one_hot(masks, classes).bool()
    both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
    return (both / either.clamp_min(1)).sum(1) / (either > 0).sum(1)
