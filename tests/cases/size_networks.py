"""Sizes that modules keep as attributes, and what a pass makes itself: small networks, one kind of trouble each. SIZES: name -> (factory, shape of one item)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.cases.networks import IMAGE, Tail, cbr


class Unpacked(nn.Module):
    """A split by a written size, taken apart in Python: what fails is no operator."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 32), cbr(16, 16), cbr(32, 24), Tail(24)

    def forward(self, x):
        p, q = self.a(x).split(16, dim=1)
        return self.tail(self.c(torch.cat([p, self.b(q)], 1)))


class ByNumber(nn.Module):
    """Items written by their number into a new tensor."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), nn.Sequential(nn.Conv2d(16, 24, 1), nn.Hardswish()), Tail(24)

    def forward(self, x):
        x = self.a(x)
        out = torch.zeros_like(x)
        out[torch.arange(len(x))] = x
        return self.tail(self.b(out))


class KeptWidth(nn.Module):
    """A width that the module keeps: parts of that size go through a convolution each, as in a Res2Net."""

    def __init__(self):
        super().__init__()
        self.width, self.a = 8, cbr(3, 24)
        self.each, self.tail = nn.ModuleList([cbr(8, 8), cbr(8, 8)]), Tail(24)

    def forward(self, x):
        first, second, third = torch.split(self.a(x), self.width, 1)
        second = self.each[0](second)
        return self.tail(torch.cat([first, second, self.each[1](third + second)], 1))


class KeptHalf(nn.Module):
    """Half of a width that the module keeps, as in a CSP stage."""

    def __init__(self):
        super().__init__()
        self.expanded, self.a, self.b, self.tail = 24, cbr(3, 24), cbr(12, 16), Tail(28)

    def forward(self, x):
        left, right = self.a(x).split(self.expanded // 2, dim=1)
        return self.tail(torch.cat([left, self.b(right)], 1))


class KeptSplits(nn.Module):
    """Parts of unequal sizes that the module keeps in a tuple, as in a MixNet."""

    def __init__(self):
        super().__init__()
        self.splits, self.a = (6, 10, 16), cbr(3, 32)
        self.each, self.tail = nn.ModuleList([cbr(6, 8), cbr(10, 12), cbr(16, 16, g=16)]), Tail(36)

    def forward(self, x):
        parts = torch.split(self.a(x), self.splits, 1)
        return self.tail(torch.cat([layer(part) for layer, part in zip(self.each, parts, strict=True)], 1))


class KeptBound(nn.Module):
    """The first channels up to a kept number meet others, and the rest is put beside, as in a DPN."""

    def __init__(self):
        super().__init__()
        self.bound, self.a, self.b, self.tail = 20, cbr(3, 20), cbr(20, 32), Tail(32)

    def forward(self, x):
        x = self.a(x)
        y = self.b(x)
        return self.tail(torch.cat([x + y[:, : self.bound], y[:, self.bound :]], 1))


class KeptShape(nn.Module):
    """A scale that is viewed in a kept shape, as in a PoolFormer."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail, self.shape = cbr(3, 16), cbr(16, 16), Tail(16), (16, 1, 1)
        self.scale = nn.Parameter(torch.rand(16) + 0.5)

    def forward(self, x):
        return self.tail(self.b(self.a(x) * self.scale.view(self.shape)))


class KeptHeads(nn.Module):
    """Attention whose keys and values have widths that the module keeps, as in a YOLO."""

    def __init__(self):
        super().__init__()
        self.heads, self.key, self.value = 2, 6, 8
        self.f, self.qkv, self.out, self.tail = cbr(3, 16, s=2), nn.Conv2d(16, 40, 1), nn.Conv2d(16, 16, 1), Tail(16)

    def forward(self, x):
        x = F.avg_pool2d(self.f(x), 2)
        qkv = self.qkv(x).view(len(x), self.heads, 2 * self.key + self.value, -1)
        q, k, v = qkv.split([self.key, self.key, self.value], dim=2)
        out = v @ (q.transpose(-2, -1) @ k * 0.4).softmax(-1).transpose(-2, -1)
        return self.tail(x + self.out(out.reshape(len(x), -1, *x.shape[2:])))


class KeptPaths(nn.Module):
    """Channels split over a number of paths that the module keeps beside their width, as in selective kernels."""

    def __init__(self):
        super().__init__()
        self.width, self.paths = 16, 2
        self.a, self.tail = cbr(3, 16, s=2), Tail(8)
        self.convs = nn.ModuleList([cbr(8, 8), cbr(8, 8)])

    def forward(self, x):
        parts = torch.split(self.a(x), self.width // self.paths, 1)
        return self.tail(torch.stack([conv(part) for conv, part in zip(self.convs, parts)], 1).sum(1))  # noqa: B905


class MadeWithin(nn.Module):
    """A grid and a state that are made within the pass, one of every item, and go through layers before they meet it."""

    def __init__(self):
        super().__init__()
        self.a, self.tail = cbr(3, 16, s=4), Tail(16)
        self.grid, self.state = nn.Linear(2, 16), nn.Sequential(nn.Conv2d(4, 12, 3, padding=1), nn.Conv2d(12, 16, 1))

    def forward(self, x):
        x = self.a(x)
        places = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), -1).to(x.dtype)
        placed = self.grid(places.expand(len(x), 8, 8, 2)).permute(0, 3, 1, 2)
        return self.tail(x + placed + self.state(torch.ones(len(x), 4, 8, 8, dtype=x.dtype)))


SIZES = {
    "unpacked": (Unpacked, IMAGE),
    "by_number": (ByNumber, IMAGE),
    "kept_width": (KeptWidth, IMAGE),
    "kept_half": (KeptHalf, IMAGE),
    "kept_splits": (KeptSplits, IMAGE),
    "kept_bound": (KeptBound, IMAGE),
    "kept_paths": (KeptPaths, IMAGE),
    "kept_shape": (KeptShape, IMAGE),
    "kept_heads": (KeptHeads, IMAGE),
    "made_within": (MadeWithin, IMAGE),
}
