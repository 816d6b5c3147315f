"""What calibration images, or the network, look too odd for: said before work, in one line each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mendsearch.holdout import arrange
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs import Wishes, leaves_of, outputs_of
from mendsearch.outputs.base import Divergence
from mendsearch.outputs.kl import KL
from mendsearch.reconstruction.norms import Moments, corrected_norms, recorded

LOOKED_AT = 256
"""Images that are run."""
FEW = 64
"""Images below which regressions have little to go by."""
BATCH = 64
"""Images of one forward pass."""
VARIES = 1e-3
"""Outputs whose spread over images is below this part of their size are constant."""
FLAT = 0.98
"""Mean entropy, as a fraction of the largest, above which outputs say nothing."""
BYTES = 32.0
"""Pixels from which images are not of 0-1, nor normalised."""
SCALE = 100.0
"""Factor between the variance that the first batch norm sees and its own, from which the images' scale is another."""
FAR = 0.2
"""Standard deviations by which the means of norms' inputs lie off, in the mean over channels and norms: 0.01 on images
of the training set, 0.1 on photographs for a network trained on ImageNet, 0.26 where they are not normalised."""


class CalibrationWarning(UserWarning):
    """Calibration images, or outputs of the network on them, that are not as they are of a trained network."""


@torch.no_grad()
def doubts(model: nn.Module, images: Tensor, labels: Tensor | None = None, wishes: Wishes | None = None) -> list[str]:
    """One line for everything odd.

    Args:
        model: the dense network, trained. It is not changed.
        images: (N, C, H, W) float32, for calibration.
        labels: (n,) of the validation images, or None.
        wishes: what the user says of the network's outputs.
    """
    drawn, _ = arrange(torch.arange(len(images)), min(LOOKED_AT, len(images)))
    with evaluating(model), recorded(model) as norms:
        passes = [leaves_of(model(to_network(images[part], model))) for part in drawn.split(BATCH)]
    found = list(_of_images(images, labels))
    _, divergences = outputs_of(model, images[drawn], wishes)
    for name, divergence in divergences.items():
        leaves = [leaves[name] for leaves in passes]
        values = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if values:
            found += _of_outputs(torch.cat(values), divergence, "" if len(divergences) == 1 else f" (`{name}`)")
    moments = {name: seen[-1] for name, seen in norms.items()}
    found += _of_statistics(model, moments, float(images.min()), float(images.max()))
    return [f"calibration: {line}" for line in found]


def _of_images(images: Tensor, labels: Tensor | None) -> Iterator[str]:
    if len(images) < FEW:
        yield f"got {len(images)} images, and regressions have little to go by; give {FEW} or more, better 1,000"
    if labels is not None and labels.dim() == 1 and len(labels) > 1 and bool((labels == labels[0]).all()):
        yield f"all validation images have the label {int(labels[0])}; take images of every class"


def _of_outputs(outputs: Tensor, divergence: Divergence, of: str) -> Iterator[str]:
    if len(outputs) < 2:
        return
    values = outputs.float()
    if float(values.std(0).mean()) <= VARIES * float(values.abs().mean()):
        yield f"the network gives the same outputs for all images{of}; check its weights and how images are normalised"
        return
    if not isinstance(divergence, KL):
        return
    likely = divergence.prepare(outputs)
    most = float(torch.tensor(likely.shape[divergence.axis]).log())
    entropy = float(-(likely.exp() * likely).sum(divergence.axis).mean()) / most
    classes = likely.argmax(divergence.axis)
    if entropy > FLAT:
        yield f"the network's outputs say nothing{of} (every class is as likely); load trained weights"
    elif bool((classes == classes.flatten()[0]).all()):
        yield f"the network gives class {int(classes.flatten()[0])} for all images{of}; take images of every class"


def _of_statistics(model: nn.Module, moments: dict[str, Moments], low: float, high: float) -> Iterator[str]:
    norms = corrected_norms(model)
    distances = {name: _distance(norms[name], seen) for name, seen in moments.items()}
    if not distances:
        return
    if all(_is_fresh(norms[name]) for name in moments):
        yield "the batch norms hold what they hold before training; load trained weights"
        return
    first = next(iter(distances))  # in the order in which they ran
    if low >= 0 and high >= BYTES and distances[first][1] > SCALE:
        yield (
            f"pixels run from {low:.0f} to {high:.0f}, and `{first}` was trained on inputs of "
            f"{distances[first][1] ** 0.5:.0f} times less spread; divide by 255 and normalise as in training"
        )
        return
    shift = sum(found for found, _ in distances.values()) / len(distances)
    if shift > FAR:
        yield (
            f"the images are far from what the network was trained on (its batch norms see means {shift:.2g} standard "
            f"deviations off); take images as in training, normalised alike"
        )


def _is_fresh(norm: nn.Module) -> bool:
    return bool((norm.running_mean == 0).all() and (norm.running_var == 1).all())  # type: ignore[union-attr]


def _distance(norm: nn.Module, seen: Moments) -> tuple[float, float]:
    """Mean distance over channels in standard deviations, and the median factor between the variances."""
    own = norm.running_var.double() + norm.eps  # type: ignore[operator]
    shift = (seen.mean - norm.running_mean).abs() / own.sqrt()  # type: ignore[operator]
    return float(shift.mean()), float((seen.variance / own).median())
