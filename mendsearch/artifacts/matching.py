"""Whether a network is the one that was pruned: its layers, their settings, and the shapes of its tensors."""

from __future__ import annotations

import json

from torch import nn

from mendsearch.artifacts.describing import describe
from mendsearch.artifacts.structure import Layer, PrunedStructure, TensorSlice
from mendsearch.errors import ModelError


def check_network(model: nn.Module, structure: PrunedStructure, what: str) -> None:
    """See that a dense network has the layers that a structure was taken from.

    What a `forward` of the user's does between its layers is not seen.

    Args:
        model: the dense network.
        structure: of the pruned one.
        what: the structure's name, for the message.

    Raises:
        ModelError: it is another network; the message says what differs first.
    """
    difference = first_difference(describe(model), structure)
    if difference:
        raise ModelError(f"{what} does not fit the network: {difference}; give the dense network that was pruned")


def first_difference(given: PrunedStructure, expected: PrunedStructure) -> str | None:
    """What differs first between a dense network and the one that was pruned, in words; None if nothing does."""
    own, wanted = {layer.name: layer for layer in given.layers}, {layer.name: layer for layer in expected.layers}
    for name in wanted:
        if name not in own:
            return f"it has no layer `{name}`"
    for name in own:
        if name not in wanted:
            return f"it has a layer `{name}`, which the pruned one lacks"
    for name, layer in wanted.items():
        difference = _layer_difference(own[name], layer)
        if difference:
            return f"`{name}`: {difference}"
    for name in sorted(given.tensors.keys() ^ expected.tensors.keys()):
        return f"`{name}` is in only one of the two"
    for name, tensor in expected.tensors.items():
        difference = _shape_difference(given.tensors[name].shape, tensor)
        if difference:
            return f"`{name}`: {difference}"
    return None


def _layer_difference(given: Layer, expected: Layer) -> str | None:
    if given.kind != expected.kind:
        return f"got {given.kind or 'a module of several'}, expected {expected.kind or 'a module of several'}"
    for key in sorted(given.settings.keys() & expected.settings.keys()):  # another version may know more of them
        own, wanted = given.settings[key], expected.settings[key]
        if own != wanted and not (key == "groups" and _groups_fit(own, wanted, expected.inputs)):
            return f"got {key} {json.dumps(own)}, expected {json.dumps(wanted)}"
    for key in ("inputs", "outputs"):
        own, wanted = getattr(given, key), getattr(expected, f"dense_{key}")
        if wanted is not None and own != wanted:
            return f"got {own} {key}, expected {wanted}"
    return None


def _groups_fit(own: object, wanted: object, inputs: int | None) -> bool:
    """Whether groups fit those of a pruned convolution with so many inputs, of which no dense one is known.

    There may be a group for each channel that is left, and one alone where one channel is.
    """
    return (wanted == "in_channels" and own == inputs) or (own == "in_channels" and wanted == inputs == 1)


def _shape_difference(given: list[int], expected: TensorSlice) -> str | None:
    if expected.dense_shape is not None:
        fits = given == expected.dense_shape
        return None if fits else f"got shape {tuple(given)}, expected {tuple(expected.dense_shape)}"
    if len(given) != len(expected.shape) or any(own < least for own, least in zip(given, expected.shape, strict=True)):
        return f"got shape {tuple(given)}, expected {tuple(expected.shape)} or more"
    return None
