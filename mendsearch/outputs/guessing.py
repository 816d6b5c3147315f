"""Which divergence an output leaf gets, by what the dense network gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mendsearch.config import DivergenceName
from mendsearch.outputs.leaves import Leaf

SUM, LENGTH = 1e-2, 1e-2
"""Distance from 1 at which sums of probabilities, and lengths of unit vectors, still count as 1: half precision."""
SATURATED = 30.0
"""Size from which a value is no logit of a decision: its sigmoid is 0 or 1."""
LIKELY = 0.95
"""Probability that some item reaches for some class, where outputs are probabilities of decisions."""
ALIKE = 0.5
"""Correlation with the input from which an output of the input's shape is an image."""
MEASURED = ("box", "reg", "landmark", "keypoint", "coord", "offset", "depth", "embed", "feature")
"""Parts of a name that stand for quantities, not for classes."""


@dataclass(frozen=True)
class Output:
    """An output leaf, and how it is compared.

    Attributes:
        name: its path in the outputs.
        shape: its shape for one item; empty for detections.
        divergence: name of the divergence, or the import path of the user's own function.
        weight: its weight in the score.
        axis: the axis of classes or features, counted from that of items; None where there is none.
        probabilities: whether `kl` and `bernoulli` get probabilities, not logits.
        reason: why it is compared so, or not at all.
    """

    name: str
    shape: tuple[int, ...]
    divergence: str
    weight: float = 1.0
    axis: int | None = None
    probabilities: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Guess:
    """A divergence and its reason; the other attributes are those of `Output`."""

    divergence: DivergenceName
    reason: str
    axis: int | None = None
    probabilities: bool = False


def guess(name: str, values: Leaf, given: Tensor | None, likely: Sequence[Tensor] = ()) -> Guess:
    """The first rule that holds, in this order.

    1. A list of detections: `detections`.
    2. Integers and truth values: `none`.
    3. From 0 to 1, and sums of 1 along the second or the last axis: `kl` of probabilities along it.
       Logarithms of such values: `kl` too.
    4. From 0 to 1: `bernoulli` of probabilities. Of (N, K) some must come close to 1: logits of a network that has
       hardly been trained may lie there by chance.
    5. Vectors of length 1 along the second or the last axis: `cosine`.
    6. A name that says that it is measured (`boxes`, `depth`, `embedding`): `squared`.
    7. One value an item, or one channel on a map: `bernoulli` of logits; `squared` if some exceed what a logit can be.
    8. Of the first input's shape, and correlated with it (denoising, autoencoders): `squared`.
    9. Beside an output of rule 3 for the same positions, where a network of classes has applied its softmax: `squared`,
       unless these are the logits of those probabilities.
    10. (N, K), or a map (N, C, H, W) or a volume: `kl` over the second axis, at each position.
    11. (N, L, K): `squared`, since either axis may be that of classes.

    Rules 3 to 5 need values that vary: before training, an output may be constant.

    Args:
        name: name of the leaf.
        values: what the dense network gives for several items.
        given: (N, …) its first input for them, if it is known.
        likely: its other outputs that are probabilities of classes (rule 3).
    """
    if not isinstance(values, Tensor):
        return Guess("detections", "a list of boxes and scores for each item")
    if not values.is_floating_point():
        return Guess("none", f"holds {str(values.dtype).removeprefix('torch.')}, no numbers to compare")
    values = values.float()
    if values.numel() > 1 and bool((values != values.flatten()[0]).any()):
        found = _by_values(values)
        if found is not None:
            return found
    if any(part in name.lower() for part in MEASURED):
        return Guess("squared", "its name says that it is measured", _features(values))
    return _by_shape(values, given, likely)


def sums_to_one(values: Tensor, axis: int) -> bool:
    """Whether values (float) are probabilities along an axis."""
    return bool((values >= 0).all()) and bool(((values.sum(axis) - 1).abs() < SUM).all())


def within_one(values: Tensor) -> bool:
    """Whether all values lie from 0 to 1."""
    return bool((values >= 0).all()) and bool((values <= 1).all())


def class_axis(values: Tensor) -> int | None:
    """The axis along which values (float) are probabilities of classes, the second or the last; None if there is none.

    What does not vary says nothing.
    """
    if values.numel() < 2 or not bool((values != values.flatten()[0]).any()) or not within_one(values):
        return None
    return next((axis for axis in _axes(values) if sums_to_one(values, axis)), None)


def _axes(values: Tensor) -> list[int]:
    """The second and the last axis, where they hold several values."""
    return [axis for axis in dict.fromkeys((1, values.dim() - 1)) if 0 < axis < values.dim() and values.shape[axis] > 1]


def _by_values(values: Tensor) -> Guess | None:
    if within_one(values):
        classes = class_axis(values)
        if classes is not None:
            return Guess("kl", f"its values along axis {classes} sum to 1", classes, probabilities=True)
        if values.dim() != 2 or values.shape[1] == 1 or float(values.max()) > LIKELY:
            return Guess("bernoulli", "its values lie from 0 to 1", probabilities=True)
    for axis in _axes(values):
        if bool((values <= 0).all()) and sums_to_one(values.exp(), axis):
            return Guess("kl", f"its values along axis {axis} are logarithms of probabilities", axis)
        if bool(((torch.linalg.vector_norm(values, dim=axis) - 1).abs() < LENGTH).all()):
            return Guess("cosine", f"its vectors along axis {axis} have length 1", axis)
    return None


def _by_shape(values: Tensor, given: Tensor | None, likely: Sequence[Tensor]) -> Guess:
    if values[0].numel() == 1 or (values.dim() > 3 and values.shape[1] == 1):
        if float(values.abs().max()) <= SATURATED:
            return Guess("bernoulli", "one logit an item" if values[0].numel() == 1 else "one logit a position")
        return Guess("squared", "one value, too large for a logit", _features(values))
    if given is not None and _is_like(values, given):
        return Guess("squared", "it is of the input's shape, and like it", 1)
    if any(_beside(values, other) for other in likely):
        return Guess("squared", "beside probabilities, which are what this network gives of classes", _features(values))
    if values.dim() == 2:
        return Guess("kl", "logits of its shape", 1)
    if values.dim() > 3:
        return Guess("kl", "logits at each position, of its shape", 1)
    return Guess("squared", "no convention says which axis holds classes", _features(values))


def _features(values: Tensor) -> int | None:
    return 1 if values.dim() > 1 else None


def _beside(values: Tensor, likely: Tensor) -> bool:
    """Whether values are something else than probabilities for the same positions, and not their logits."""
    if values.dim() != likely.dim() or values.shape[2:] != likely.shape[2:]:
        return False
    return values.shape != likely.shape or float((values.softmax(1) - likely).abs().max()) > SUM


def _is_like(values: Tensor, given: Tensor) -> bool:
    if values.dim() < 2 or values.shape != given.shape or not given.is_floating_point():
        return False
    pair = torch.stack([values.flatten(), given.to(values).flatten()])
    return float(torch.corrcoef(pair)[0, 1]) > ALIKE
