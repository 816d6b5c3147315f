"""From what a network gives, and what the user says, to how its outputs are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.config import OutputSpec, describe
from mendsearch.errors import UsageError
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs.base import Divergence
from mendsearch.outputs.bernoulli import Bernoulli
from mendsearch.outputs.comparison import Comparison
from mendsearch.outputs.cosine import Cosine
from mendsearch.outputs.detections import MatchedBoxes
from mendsearch.outputs.given import DivergenceFunction, Given
from mendsearch.outputs.guessing import Guess, Output, class_axis, guess, sums_to_one, within_one
from mendsearch.outputs.kl import KL
from mendsearch.outputs.leaves import Leaf, leaves_of
from mendsearch.outputs.squared import Squared

ITEMS, FIRST, BATCH = 256, 3, 64
"""Items that are run; those of the first pass, which are fewer so that the axis of items shows; those of the others."""
BYTES = 2**28
"""Memory of outputs after which no further items are run."""
Wish = str | Mapping[str, Any] | OutputSpec | DivergenceFunction
Wishes = Mapping[str, Wish]
"""What the user says of outputs, by name: a divergence, a table as in the spec, or a function of two leaves."""


def comparison_of(model: nn.Module, inputs: BatchLike, wishes: Wishes | None = None) -> Comparison:
    """How the outputs of a network are compared, by what it gives and what the user says.

    Args:
        model: the dense network; not changed.
        inputs: of the network; `ITEMS` of them are run.
        wishes: what the user says.

    Raises:
        ModelError: nothing can be compared.
        UsageError: the user names an output that there is not, or a divergence that does not fit it.
    """
    outputs, divergences = outputs_of(model, inputs, wishes)
    return Comparison(outputs, divergences)


def outputs_of(
    model: nn.Module, inputs: BatchLike, wishes: Wishes | None = None
) -> tuple[list[Output], dict[str, Divergence]]:
    """As `comparison_of`, also where nothing can be compared."""
    inputs = Batch.of(inputs)
    passes, count = _passes(model, inputs)
    wishes, items = dict(wishes or {}), [items for _, items in passes]
    names = list(dict.fromkeys(name for leaves, _ in passes for name in leaves))
    unknown = [name for name in wishes if name not in names]
    if unknown:
        raise UsageError(f"score.outputs: got {unknown[0]!r}, expected one of {', '.join(names) or 'none'}")
    given, found = inputs[:count].tensors[0], []
    parts = {name: [leaves.get(name) for leaves, _ in passes] for name in names}
    likely = _probabilities(parts, items)
    for name in names:
        others = [values for other, values in likely.items() if other != name]
        found.append(_choose(name, parts[name], items, wishes.get(name), given, others))
    divergences = {output.name: divergence for output, divergence in found if divergence is not None}
    return [output for output, _ in found], divergences


@torch.no_grad()
def _passes(model: nn.Module, inputs: Batch) -> tuple[list[tuple[dict[str, Leaf], int]], int]:
    """Leaves of several passes with the number of items in each, and the number of all items."""
    passes, used, start = [], 0, 0
    with evaluating(model):
        while start < min(ITEMS, len(inputs)) and used < BYTES:
            part = inputs[start : start + (BATCH if start else FIRST)]
            leaves = leaves_of(to_network(part, model).call(model))
            passes.append((leaves, len(part)))
            used += sum(leaf.numel() * leaf.element_size() for leaf in leaves.values() if isinstance(leaf, Tensor))
            start += len(part)
    return passes, start


def _choose(
    name: str,
    parts: Sequence[Leaf | None],
    items: Sequence[int],
    wish: Wish | None,
    given: Tensor,
    likely: Sequence[Tensor],
) -> tuple[Output, Divergence | None]:
    """How one leaf is compared."""
    trouble = _trouble(parts, items)
    values = None if trouble else _joined(parts)
    shape = tuple(values.shape[1:]) if isinstance(values, Tensor) else ()
    if callable(wish):
        named = f"{getattr(wish, '__module__', '')}:{getattr(wish, '__qualname__', type(wish).__name__)}"
        return Output(name, shape, named, reason="as asked"), Given(wish, name)
    spec = None if wish is None else _spec(name, wish)
    if values is None:
        if spec is not None and spec.divergence != "none":
            raise UsageError(f"score.outputs.{name}: cannot be compared: {trouble}; try `none`, or a function")
        return Output(name, shape, "none", reason=trouble), None
    found = guess(name, values, given, likely)
    if spec is not None:
        found = _asked(name, values, spec, found)
    weight = 1.0 if spec is None else spec.weight
    output = Output(name, shape, found.divergence, weight, found.axis, found.probabilities, found.reason)
    return output, _divergence(output, values)


def _probabilities(parts: Mapping[str, Sequence[Leaf | None]], items: Sequence[int]) -> dict[str, Tensor]:
    """Leaves, in floating point, that are probabilities of classes."""
    joined = {name: _joined(part) for name, part in parts.items() if not _trouble(part, items)}
    numbers = {
        name: leaf.float() for name, leaf in joined.items() if isinstance(leaf, Tensor) and leaf.is_floating_point()
    }
    return {name: values for name, values in numbers.items() if class_axis(values) is not None}


def _trouble(parts: Sequence[Leaf | None], items: Sequence[int]) -> str:
    """Why a leaf cannot be compared item by item; empty if it can."""
    if any(part is None for part in parts) or len({type(part) for part in parts}) > 1:
        return "it is not there for every batch"
    for part, count in zip(parts, items, strict=True):
        if part is None or (isinstance(part, Tensor) and not part.dim()) or len(part) != count:
            return "its first axis is not that of items"
    shapes = {part.shape[1:] for part in parts if isinstance(part, Tensor)}
    if len(shapes) > 1:
        return "its shape is not the same for all items"
    return "it is empty" if any(not shape.numel() for shape in shapes) else ""


def _joined(parts: Sequence[Leaf | None]) -> Leaf:
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if tensors:
        return torch.cat(tensors)
    return [item for part in parts if isinstance(part, list) for item in part]


def classes_of(model: nn.Module, inputs: BatchLike, wishes: Wishes | None = None) -> int | None:
    """Number of classes of a network, as `Comparison.classes`; None also where nothing can be compared."""
    outputs, divergences = outputs_of(model, inputs, wishes)
    return Comparison(outputs, divergences).classes if divergences else None


def ignored(name: str, wishes: Wishes) -> bool:
    """Whether the user says that a leaf does not count."""
    wish = wishes.get(name)
    return wish is not None and not callable(wish) and _spec(name, wish).divergence == "none"


def _spec(name: str, wish: object) -> OutputSpec:
    try:
        return OutputSpec.model_validate(wish)
    except ValidationError as error:
        raise UsageError(f"score.outputs.{name}: {describe(error)}") from None


def _asked(name: str, values: Leaf, spec: OutputSpec, guessed: Guess) -> Guess:
    """What the user says, completed by what the values say."""
    kind, of_boxes = spec.divergence, not isinstance(values, Tensor)
    if kind != "none" and of_boxes != (kind == "detections"):
        got = "a list of detections" if of_boxes else "a tensor"
        raise UsageError(f"score.outputs.{name}: `{kind}` does not fit {got}")
    if not isinstance(values, Tensor) or kind == "none":
        return Guess(kind, spec.reason)
    axis = _axis(name, values, spec, guessed)
    probabilities = spec.probabilities
    if probabilities is None:
        numbers = values.float()
        summing = kind == "kl" and axis is not None and sums_to_one(numbers, axis)
        probabilities = summing or (kind == "bernoulli" and within_one(numbers) and bool(numbers.any()))
    return Guess(kind, spec.reason, axis, probabilities)


def _axis(name: str, values: Tensor, spec: OutputSpec, guessed: Guess) -> int | None:
    """The axis of classes or features, counted from the front."""
    if spec.divergence == "bernoulli" or (spec.divergence == "squared" and values.dim() < 2):
        return None
    axis = spec.axis
    if axis is None:
        axis = guessed.axis if guessed.divergence == spec.divergence else 1
    axis = 1 if axis is None else axis + values.dim() if axis < 0 else axis
    if not 0 < axis < values.dim():
        raise UsageError(
            f"score.outputs.{name}: got `{spec.divergence}` along axis {axis if spec.axis is None else spec.axis}, "
            f"expected an axis from 1 to {values.dim() - 1}; axis 0 is that of items"
        )
    return axis


def _divergence(output: Output, values: Leaf) -> Divergence | None:
    if output.divergence == "none":
        return None
    if not isinstance(values, Tensor):
        return MatchedBoxes()
    if output.divergence == "bernoulli":
        return Bernoulli(output.probabilities)
    if output.divergence == "squared":
        return Squared.fitted(values, output.axis or 1)
    assert output.axis is not None  # the others have one
    return KL(output.axis, output.probabilities) if output.divergence == "kl" else Cosine(output.axis)
