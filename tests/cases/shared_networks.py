"""Modules and values that a pass shares, keeps or reads twice: small networks, one kind of trouble each. SHARED: name -> (factory, shape of one item)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.cases.networks import IMAGE, SE, Tail, cbr


class SharedNorm(nn.Module):
    """One batch norm behind two convolutions."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm, self.c, self.tail = (
            nn.Conv2d(3, 16, 3, padding=1),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.Conv2d(16, 16, 3, padding=1),
            Tail(16),
        )

    def forward(self, x):
        x = F.relu(self.norm(self.a(x)))
        return self.tail(F.relu(self.c(F.relu(self.norm(self.b(x))))))


class Recurrent(nn.Module):
    """One convolution and its batch norm, three times in a row."""

    def __init__(self):
        super().__init__()
        self.a, self.r, self.norm, self.tail = (
            nn.Conv2d(3, 16, 3, padding=1),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            Tail(16),
        )

    def forward(self, x):
        x = F.relu(self.a(x))
        for _ in range(3):
            x = x + F.relu(self.norm(self.r(x)))
        return self.tail(x)


class TwoNames(nn.Module):
    """A batch norm that is registered under two names."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(12)
        self.first, self.second, self.tail = (
            nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), self.norm, nn.ReLU()),
            cbr(12, 16),
            Tail(16),
        )

    def forward(self, x):
        return self.tail(self.second(self.first(x)))


class FlippedGroupNorm(nn.Module):
    """Channels turned round behind a group norm."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.tail = (
            nn.Conv2d(3, 32, 3, padding=1),
            nn.GroupNorm(4, 32),
            nn.Conv2d(32, 32, 3, padding=1),
            Tail(32),
        )

    def forward(self, x):
        return self.tail(F.relu(self.b(F.relu(self.norm(self.a(x))).flip(1))))


class ChannelThenSpatial(nn.Module):
    """Attention by channel, then by place from the mean and maximum over channels."""

    def __init__(self):
        super().__init__()
        self.a, self.se, self.place, self.b, self.tail = (
            cbr(3, 32),
            SE(32),
            nn.Conv2d(2, 1, 7, padding=3),
            cbr(32, 48),
            Tail(48),
        )

    def forward(self, x):
        x = self.a(x)
        x = x * self.se(x)
        return self.tail(
            self.b(x * torch.sigmoid(self.place(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1))))
        )


class NonLocal(nn.Module):
    """Every place looks at every other."""

    def __init__(self):
        super().__init__()
        self.a, self.q, self.k, self.v, self.out, self.tail = (
            cbr(3, 32),
            nn.Conv2d(32, 16, 1),
            nn.Conv2d(32, 16, 1),
            nn.Conv2d(32, 16, 1),
            nn.Conv2d(16, 32, 1),
            Tail(32),
        )

    def forward(self, x):
        x = self.a(x)
        q, k, v = (layer(x).flatten(2) for layer in (self.q, self.k, self.v))
        seen = (q.transpose(1, 2) @ k).softmax(2) @ v.transpose(1, 2)
        return self.tail(x + self.out(seen.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])))


class AuxiliaryHead(nn.Module):
    """A second head that only training uses."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.aux, self.tail = cbr(3, 32), cbr(32, 32), Tail(32), Tail(32)

    def forward(self, x):
        x = self.a(x)
        aux = self.aux(x) if self.training else None
        y = self.tail(self.b(x))
        return (y, aux) if self.training else y


class CSP(nn.Module):
    """Half of the channels go through a branch, and all meet in a concatenation."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 32), cbr(16, 16), cbr(48, 32, 1), Tail(32)

    def forward(self, x):
        p, q = self.a(x).chunk(2, 1)
        return self.tail(self.c(torch.cat([p, q, self.b(q)], 1)))


class TwoHeads(nn.Module):
    """Reshape of (N, C) to itself, and a concatenation of two."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = cbr(3, 16), cbr(3, 24), nn.Linear(40, 10)

    def forward(self, x):
        p, q = self.a(x).mean((2, 3)), self.b(x).mean((2, 3))
        return self.fc(torch.cat([p.reshape(len(x), -1), q.reshape(len(x), -1)], 1))


class DepthwiseTwice(nn.Module):
    """A depthwise convolution that doubles the channels: it ties by pairs, not all to all."""

    def __init__(self):
        super().__init__()
        self.a, self.d, self.b, self.tail = (
            cbr(3, 32),
            nn.Conv2d(32, 64, 3, padding=1, groups=32),
            cbr(64, 48),
            Tail(48),
        )

    def forward(self, x):
        return self.tail(self.b(F.relu(self.d(self.a(x)))))


class OwnWidth(nn.Conv2d):
    """A convolution that reads its own attributes in its forward pass."""

    def forward(self, x):
        mean = self.weight.view(1, self.out_channels, -1).mean(2).view(self.out_channels, 1, 1, 1)
        return F.conv2d(x, self.weight - mean, self.bias, self.stride, self.padding)


class ReadsAttributes(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = OwnWidth(3, 32, 3, padding=1), OwnWidth(32, 32, 3, padding=1), Tail(32)

    def forward(self, x):
        return self.tail(F.relu(self.b(F.relu(self.a(x)))))


class Bilinear(nn.Module):
    """Products of all channels with all: tracing must not explode."""

    def __init__(self, c=16):
        super().__init__()
        self.a, self.b, self.fc = cbr(3, 32), cbr(32, c), nn.Linear(c * c, 10)

    def forward(self, x):
        x = self.b(self.a(x)).flatten(2)
        return self.fc((x @ x.transpose(1, 2)).flatten(1))


class KeepsFeatures(nn.Module):
    """Keeps an activation as an attribute, which deepcopy refuses after a pass with gradients."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        self.features = self.a(x)
        return self.tail(self.b(self.features))


class OneDtype(nn.Module):
    """Operators that take tensors of one dtype only, which a pass in another precision leaves some of each."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = cbr(3, 24), cbr(24, 16), nn.Bilinear(16, 16, 10)

    def forward(self, x):
        x = self.b(self.a(x)).mean((2, 3))
        ranked = torch.zeros(len(x), 16)
        ranked[:, :] = x.float().relu()
        return self.fc(x, ranked)


class KeepsAverages(nn.Module):
    """Counts its passes and averages over them, in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x):
        self.passes += 1
        self.average = 0.9 * self.average + 0.1 * x.detach().mean((0, 2, 3))
        return self.tail(self.b(self.a(x)))


SHARED = {
    "shared_norm": (SharedNorm, IMAGE),
    "recurrent": (Recurrent, IMAGE),
    "two_names": (TwoNames, IMAGE),
    "flipped_groupnorm": (FlippedGroupNorm, IMAGE),
    "channel_then_spatial": (ChannelThenSpatial, IMAGE),
    "non_local": (NonLocal, IMAGE),
    "auxiliary_head": (AuxiliaryHead, IMAGE),
    "csp": (CSP, IMAGE),
    "two_heads": (TwoHeads, IMAGE),
    "depthwise_twice": (DepthwiseTwice, IMAGE),
    "reads_attributes": (ReadsAttributes, IMAGE),
    "bilinear": (Bilinear, IMAGE),
    "keeps_features": (KeepsFeatures, IMAGE),
    "one_dtype": (OneDtype, IMAGE),
    "keeps_averages": (KeepsAverages, IMAGE),
}
