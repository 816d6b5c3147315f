"""`structure.json` of a pruned network: which channels stay, and the network that they are taken from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mendstore.records.base import Counts, Record, Width

FORMAT: Literal[1] = 1
"""Version of the format; it grows when a reader of the one before would misread a structure."""
Indices = list[Width]
Shape = list[Width]


class Layer(Record):
    """One module of the network: a layer, or a module with settings of its own."""

    name: str = Field(description="Name of the module.")
    kind: str | None = Field(description="Name of its class, such as `Conv2d`; null for a module with submodules.")
    settings: dict[str, Any] = Field(description="What does not change with the channels: stride, dilation, eps, …")
    inputs: Width | None = Field(description="Input channels or features of a convolution or linear layer.")
    outputs: Width | None = Field(description="Its output channels or features.")
    dense_inputs: Width | None = Field(description="Inputs in the dense network; null where they are not known.")
    dense_outputs: Width | None = Field(description="Outputs in the dense network; null where they are not known.")


class TensorSlice(Record):
    """One parameter or buffer: its shape, and its slice of the dense tensor."""

    shape: Shape = Field(description="Shape in the pruned network.")
    dense_shape: Shape | None = Field(description="Shape in the dense network; null where it is not known.")
    kept: dict[int, str | Indices] = Field(
        description="By dimension that shrinks: the coupling group whose kept channels are the indices that stay, or "
        "those indices themselves, ascending."
    )


class Input(Record):
    """One tensor that the network reads, as it was given to the search."""

    name: str | None = Field(description="Name of the argument of `forward`; null for a positional one.")
    shape: Shape = Field(description="Shape of one item, without the axis of items.")
    dtype: str = Field(description="Such as `float32`.")
    high: Width | None = Field(description="Of integers, such as token ids: the largest that was seen.")


class PrunedStructure(Record):
    """A pruned network as a selection of channels of a dense network.

    A network that was saved without the result of a search has no coupling groups here, and no dense shapes.
    """

    format: Literal[1] = Field(description="Version of this format.")
    network: str = Field(description="Class of the network.")
    widths: Counts = Field(description="Channels of the dense network, by coupling group, in network order.")
    keep_counts: Counts = Field(description="Channels that stay, by coupling group.")
    kept: dict[str, Indices] = Field(description="Channels that stay, by coupling group: dense indices, ascending.")
    layers: list[Layer] = Field(description="Modules in network order.")
    tensors: dict[str, TensorSlice] = Field(description="Parameters and persistent buffers, by name.")
    sizes: dict[str, Width] = Field(description="By module, its channels where no tensor tells them.")
    inputs: list[Input] = Field(description="What the network reads; empty where it is not known.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.widths.keys() == self.keep_counts.keys() == self.kept.keys():
            raise ValueError("`widths`, `keep_counts` and `kept` name different coupling groups")
        for group, kept in self.kept.items():
            if len(kept) != self.keep_counts[group]:
                raise ValueError(f"`kept` of {group} holds {len(kept)} channels, expected {self.keep_counts[group]}")
            _check_indices(f"`kept` of {group}", kept, self.widths[group])
        for name, tensor in self.tensors.items():
            for dim, indices in tensor.kept.items():
                if tensor.dense_shape is None or not 0 <= dim < len(tensor.dense_shape):
                    raise ValueError(f"`kept` of {name} names dimension {dim}, which `dense_shape` lacks")
                found = self.indices(indices)
                _check_indices(f"`kept` of {name}", found, tensor.dense_shape[dim])
                if len(found) != tensor.shape[dim]:
                    raise ValueError(f"`kept` of {name} holds {len(found)} indices, expected {tensor.shape[dim]}")
        return self

    def indices(self, kept: str | Indices) -> Indices:
        """The indices that stay along one dimension of a tensor.

        Args:
            kept: a value of `TensorSlice.kept`.

        Raises:
            ValueError: it names a coupling group that is not there.
        """
        if not isinstance(kept, str):
            return kept
        if kept not in self.kept:
            raise ValueError(f"there is no coupling group {kept}")
        return self.kept[kept]

    @property
    def sliced(self) -> bool:
        """Whether the structure says which channels of the dense network stay."""
        return all(tensor.dense_shape is not None for tensor in self.tensors.values())


def _check_indices(what: str, indices: Indices, size: int) -> None:
    if not indices or indices[-1] >= size or any(a >= b for a, b in pairwise(indices)):
        raise ValueError(f"{what}: expected ascending indices below {size}, one or more")
