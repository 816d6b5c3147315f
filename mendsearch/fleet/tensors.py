"""Tensors of a search in one safetensors file: small for the transfer to workers, and identical bit for bit when read.

Images that were read from 8 bits and then normalised have at most 256 values per channel. They are stored as indices
(uint8) into a palette per channel. The names in the file say how a tensor is stored:
`plain/NAME`, or `index/NAME` beside `palette/NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mendsearch.errors import UsageError
from mendsearch.files import read_tensors, write_tensors

PLAIN, INDEX, PALETTE = "plain/", "index/", "palette/"
COLOURS = 256
SLICE = 2**22
"""Elements processed at a time, so that memory is bounded."""

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers of the same size as a float: they distinguish -0.0 from 0.0, and NaNs, as a bit-exact copy must."""


def pack(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors, on any device and with any strides, to a safetensors file.

    Args:
        path: path of the file, which exists complete or not at all.
        tensors: tensors by name. A float tensor with at most 256 values, or (N, C, H, W) with at most 256 in each
            channel, is stored as indices if that takes less space.
        metadata: text by name, kept in the file's header, where `files.read_metadata` finds it.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu()
        palette = _palette(kept)
        if palette is None:
            packed[PLAIN + name] = kept
        else:
            packed[INDEX + name], packed[PALETTE + name] = _indices(kept, palette), palette
    write_tensors(path, packed, metadata)


def unpack(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file that `pack` wrote: contiguous, on the CPU.

    Raises:
        UsageError: the file is missing, damaged, or of another kind.
    """
    packed = read_tensors(path)
    tensors = {}
    for name, tensor in packed.items():
        if name.startswith(PLAIN):
            tensors[name.removeprefix(PLAIN)] = tensor
        elif name.startswith(INDEX):
            bare = name.removeprefix(INDEX)
            tensors[bare] = _restored(tensor, packed[PALETTE + bare])
        elif not name.startswith(PALETTE):
            raise UsageError(f"{path} holds a tensor `{name}`, expected {PLAIN}NAME; the file is not part of a bundle")
    return tensors


def _palette(tensor: Tensor) -> Tensor | None:
    """(C, K), K <= 256, the values of each channel, sorted by their bits and padded; None if indices save nothing.

    (1, K) if the tensor is not (N, C, H, W).
    """
    if not tensor.is_floating_point() or tensor.element_size() not in BITS or tensor.numel() == 0:
        return None
    colours = []
    for channel in _channels(tensor):
        found = _values(channel)
        if found is None:
            return None
        colours.append(found)
    width = max(len(found) for found in colours)
    padded = [torch.cat([found, found[-1:].expand(width - len(found))]) for found in colours]
    palette = torch.stack(padded).view(tensor.dtype)
    spared = tensor.numel() * (tensor.element_size() - 1)
    return palette if palette.numel() * palette.element_size() < spared else None


def _values(channel: Tensor) -> Tensor | None:
    """The distinct values of a channel as sorted integers, or None if there are more than 256."""
    known = torch.empty(0, dtype=BITS[channel.element_size()])
    for part in _slices(channel):
        bits = part.reshape(-1).view(known.dtype)
        if len(known):
            bits = bits[known[_indices_in(bits, known)] != bits]
        if len(bits):
            known = torch.cat([known, bits.unique()]).sort().values
        if len(known) > COLOURS:
            return None
    return known


def _indices_in(bits: Tensor, known: Tensor) -> Tensor:
    return torch.searchsorted(known, bits.contiguous(), out_int32=True).clamp_(max=len(known) - 1)


def _indices(tensor: Tensor, palette: Tensor) -> Tensor:
    """Indices into the palette: uint8, of the tensor's shape."""
    indices = torch.empty(tensor.shape, dtype=torch.uint8)
    bits = palette.view(BITS[palette.element_size()])
    for channel, into, known in zip(_channels(tensor), _channels(indices), bits, strict=True):
        for part, part_into in zip(_slices(channel), _slices(into), strict=True):
            part_into.copy_(_indices_in(part.contiguous().view(known.dtype), known))
    return indices


def _restored(indices: Tensor, palette: Tensor) -> Tensor:
    tensor = torch.empty(indices.shape, dtype=palette.dtype)
    bits = BITS[palette.element_size()]
    for channel, into, known in zip(_channels(indices), _channels(tensor), palette.view(bits), strict=True):
        for part, part_into in zip(_slices(channel), _slices(into), strict=True):
            part_into.view(bits).copy_(known[part.int()])
    return tensor


def _channels(tensor: Tensor) -> Iterator[Tensor]:
    """Views that share a palette: the channels of (N, C, H, W), or the whole tensor."""
    return iter(tensor.unbind(1)) if tensor.dim() == 4 else iter([tensor])


def _slices(channel: Tensor) -> tuple[Tensor, ...]:
    """Views along the first dimension, of about `SLICE` elements; a scalar is one slice."""
    if channel.dim() == 0:
        return (channel,)
    row = max(1, channel.numel() // max(1, len(channel)))
    slices: tuple[Tensor, ...] = channel.split(max(1, SLICE // row))
    return slices
