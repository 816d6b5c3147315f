"""Networks with the inputs and outputs that a file has to hold, and some that no file can."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Named = namedtuple("Named", ["logits", "features"])


@dataclass
class Outputs:
    logits: Tensor
    loss: Tensor | None = None
    features: list[Tensor] | None = None


OUTPUTS = {
    "tensor": (lambda y: y, ["output"]),
    "tuple": (lambda y: (y, [y + 1]), ["output_0", "output_1_0"]),
    "dict": (lambda y: {"x": y, "more": (y * 2, y.argmax(1))}, ["output_x", "more_0", "more_1"]),
    "ordered dict": (lambda y: OrderedDict(out=y), ["out"]),
    "named tuple": (lambda y: Named(y, y + 1), ["logits", "features"]),
    "dataclass": (lambda y: Outputs(y, None, [y, y + 1]), ["logits", "features_0", "features_1"]),
}


class Several(nn.Module):
    """(N, 4) numbers, (N, length) token ids, (N, 1) booleans -> outputs of some kind."""

    def __init__(self, kind: str = "tensor") -> None:
        super().__init__()
        self.fc, self.embedding, self.kind = nn.Linear(4, 3), nn.Embedding(10, 3), kind

    def forward(self, x: Tensor, ids: Tensor | None = None, mask: Tensor | None = None) -> object:
        y = self.fc(x)
        if ids is not None:
            y = y + self.embedding(ids).mean(1)
        if mask is not None:
            y = torch.where(mask, y, 0)
        return OUTPUTS[self.kind][0](y)


class Reshaped(nn.Module):
    """(N, 4) -> (N, 3): `len` of a traced tensor is a constant, unless the bytecode is read."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Named:
        y = self.fc(x.reshape(len(x), 2, 2).reshape(len(x), -1))
        return Named(y, y + 1)


class Failing(nn.Module):
    """(N, 4) -> (N, 3), by ways that cannot be exported."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.fc, self.kind = nn.Linear(4, 3), kind

    def forward(self, x: Tensor) -> object:
        y = self.fc(x)
        if self.kind == "fixed batch":
            return y.reshape(2, 3)
        if self.kind == "branch" and y.sum() > 0:
            return -y
        if self.kind == "bessel":
            return torch.special.bessel_j0(y)
        if self.kind == "noise":
            return y + torch.rand(y.shape[0], 3)
        return 3 if self.kind == "no tensor" else y
