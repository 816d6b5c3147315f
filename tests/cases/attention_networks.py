"""Attention, sequences and positions: small networks, one kind of trouble each. ATTENTION: name -> (factory, shape of one item)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.cases.networks import IMAGE, Tail, cbr


class Attention(nn.Module):
    """Tokens, a class token, positions, heads by reshape, a residual stream."""

    def __init__(self, c=32, heads=4):
        super().__init__()
        self.heads, self.embed = heads, nn.Conv2d(3, c, 8, 8)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, c)), nn.Parameter(torch.randn(1, 17, c))
        self.n1, self.n2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.qkv, self.out = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = nn.Sequential(nn.Linear(c, 64), nn.GELU(), nn.Linear(64, c))
        self.head = nn.Linear(c, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        n, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        seen = ((q @ k.transpose(-2, -1)) * 0.3).softmax(-1) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(n, t, -1))
        x = x + self.mlp(self.n2(x))
        return self.head(x[:, 0])


class FusedAttention(Attention):
    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        n, t, c = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.head(x.mean(1) + self.out(seen.transpose(1, 2).reshape(n, t, c)).mean(1))


class NarrowQueries(nn.Module):
    """Values wider than the queries: on a CPU attention then runs as products, and its scale does not show."""

    def __init__(self, c=32):
        super().__init__()
        self.a, self.q, self.k, self.v = cbr(3, c, s=4), nn.Linear(c, 8), nn.Linear(c, 8), nn.Linear(c, 24)
        self.out, self.tail = nn.Conv2d(24, c, 1), Tail(c)

    def forward(self, x):
        x = self.a(x)
        tokens = x.flatten(2).transpose(1, 2)[:, None]
        seen = F.scaled_dot_product_attention(self.q(tokens), self.k(tokens), self.v(tokens))
        return self.tail(x + self.out(seen.transpose(-2, -1).reshape(len(x), -1, *x.shape[2:])))


class Mixer(nn.Module):
    """Linear layers over positions, then over channels."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 24, 8, 8), nn.Linear(24, 10)
        self.tokens = nn.Sequential(nn.Linear(16, 40), nn.GELU(), nn.Linear(40, 16))
        self.channels = nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 24))

    def forward(self, x):
        x = self.embed(x).flatten(2)
        x = (x + self.tokens(x)).transpose(1, 2)
        return self.head((x + self.channels(x)).mean(1))


class Embedded(nn.Module):
    """Embedding rows by place, added to a map, and used once more as a classifier's weights."""

    def __init__(self):
        super().__init__()
        self.a, self.table, self.fc = cbr(3, 24, s=2), nn.Embedding(10, 24), nn.Linear(24, 24)

    def forward(self, x):
        x = self.fc(self.a(x).mean((2, 3)))
        return F.linear(x + self.table(torch.arange(len(x)) % 10), self.table.weight)


class Patches(nn.Module):
    """Unfold, a linear layer over the patch, fold."""

    def __init__(self):
        super().__init__()
        self.a, self.fc, self.tail = cbr(3, 8, s=2), nn.Linear(8 * 9, 12 * 9), Tail(12)

    def forward(self, x):
        x = self.a(x)
        seen = self.fc(F.unfold(x, 3, padding=1).transpose(1, 2)).transpose(1, 2)
        return self.tail(F.fold(F.relu(seen), x.shape[2:], 3, padding=1))


class Coordinates(nn.Module):
    """Coordinates made in the pass beside the channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), cbr(18, 24), Tail(24)

    def forward(self, x):
        x = self.a(x)
        n, _, h, w = x.shape
        rows = torch.linspace(-1, 1, h, device=x.device).view(1, 1, h, 1).expand(n, 1, h, w)
        columns = torch.linspace(-1, 1, w, device=x.device).view(1, 1, 1, w).expand(n, 1, h, w)
        return self.tail(self.b(torch.cat([x, rows, columns], 1)))


class Einsum(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.w, self.fc = cbr(3, 24, s=2), nn.Parameter(torch.randn(20, 24) * 0.2), nn.Linear(20, 10)

    def forward(self, x):
        return self.fc(F.relu(torch.einsum("nchw,oc->nohw", self.a(x), self.w)).mean((2, 3)))


class GatedUnits(nn.Module):
    """A cell with gates, by hand, over time."""

    def __init__(self):
        super().__init__()
        self.a, self.cell, self.fc = cbr(3, 16, s=2), nn.GRUCell(16, 24), nn.Linear(24, 10)

    def forward(self, x):
        h = None
        for column in self.a(x).mean(2).unbind(2)[:3]:
            h = self.cell(column, h)
        return self.fc(h)


class EncoderLayers(nn.Module):
    """PyTorch's own transformer layers, which run as one fused operator where they may."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(cbr(3, 16, s=2), cbr(16, 16, s=2))
        layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        self.encoder, self.fc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.encoder(self.f(x).flatten(2).transpose(1, 2)).mean(1))


ATTENTION = {
    "attention": (Attention, IMAGE),
    "fused_attention": (FusedAttention, IMAGE),
    "narrow_queries": (NarrowQueries, IMAGE),
    "mixer": (Mixer, IMAGE),
    "embedded": (Embedded, IMAGE),
    "patches": (Patches, IMAGE),
    "coordinates": (Coordinates, IMAGE),
    "einsum": (Einsum, IMAGE),
    "gru_cell": (GatedUnits, IMAGE),
    "encoder_layers": (EncoderLayers, IMAGE),
}
