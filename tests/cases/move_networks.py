"""Values that are moved, cut, joined and written: small networks, one kind of trouble each. MOVES: name -> (factory, shape of one item)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.cases.networks import IMAGE, Plain, Tail, cbr


@dataclass
class Out:
    logits: Tensor
    features: Tensor


class DataclassOut(Plain):
    def forward(self, x):
        features = self.f(x)
        return Out(self.tail(features), features.mean((2, 3)))


class WritesInto(nn.Module):
    """Halves written into a tensor by place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 16), cbr(3, 16), cbr(32, 24), Tail(24)

    def forward(self, x):
        p, q = self.a(x), self.b(x)
        out = x.new_zeros(len(x), 32, *x.shape[2:])
        out[:, :16] = p
        out[:, 16:] = q
        return self.tail(self.c(out))


class Unequal(nn.Module):
    """A split into parts of different sizes; one goes through a branch."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 32), cbr(8, 8), cbr(32, 24), Tail(24)

    def forward(self, x):
        p, q = torch.split(self.a(x), [8, 24], 1)
        return self.tail(self.c(torch.cat([self.b(p), q], 1)))


class MaxOverPairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(16, 24), Tail(24)

    def forward(self, x):
        x = self.a(x)
        n, c, h, w = x.shape
        return self.tail(self.b(x.view(n, c // 2, 2, h, w).max(2)[0]))


class Generator(nn.Module):
    """A linear layer whose outputs become a map."""

    def __init__(self):
        super().__init__()
        self.a, self.fc, self.b, self.tail = cbr(3, 16, s=2), nn.Linear(16, 24 * 16), cbr(24, 20), Tail(20)

    def forward(self, x):
        x = F.relu(self.fc(self.a(x).mean((2, 3))))
        return self.tail(self.b(x.view(len(x), -1, 4, 4)))


class SpaceToDepth(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), cbr(64, 24), Tail(24)

    def forward(self, x):
        x = self.a(x)
        n, c, h, w = x.shape
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)
        return self.tail(self.b(x))


class ByPlace(nn.Module):
    """Channels in another order, by an index that is kept as a buffer."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), cbr(16, 24), Tail(24)
        self.register_buffer("order", torch.randperm(16))

    def forward(self, x):
        return self.tail(self.b(self.a(x)[:, self.order]))


class Rolled(ByPlace):
    def forward(self, x):
        return self.tail(self.b(self.a(x).roll(3, 1)))


class NotPersistent(ByPlace):
    """A constant by channel that is not in the state dict."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(1, 16, 1, 1) + 0.5, persistent=False)

    def forward(self, x):
        return self.tail(self.b(self.a(x) * self.scale))


MOVES = {
    "dataclass_output": (DataclassOut, IMAGE),
    "writes_into": (WritesInto, IMAGE),
    "unequal_split": (Unequal, IMAGE),
    "max_over_pairs": (MaxOverPairs, IMAGE),
    "generator": (Generator, IMAGE),
    "space_to_depth": (SpaceToDepth, IMAGE),
    "by_place": (ByPlace, IMAGE),
    "rolled": (Rolled, IMAGE),
    "not_persistent": (NotPersistent, IMAGE),
}
