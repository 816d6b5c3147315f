"""More small networks, one kind of trouble each, beside those of `networks.py`. MORE: name -> (factory, shape of one item)."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from tests.cases.networks import IMAGE, Plain, Tail, cbr


@dataclass
class Out:
    logits: Tensor
    features: Tensor


class DataclassOut(Plain):
    def forward(self, x):
        features = self.f(x)
        return Out(self.tail(features), features.mean((2, 3)))


class RawConv(nn.Module):
    """Convolution and product with parameters of its own, without a layer."""

    def __init__(self):
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.randn(24, 3, 3, 3) * 0.2), nn.Parameter(torch.randn(24))
        self.matrix = nn.Parameter(torch.randn(24, 20) * 0.2)
        self.fc = nn.Linear(20, 10)

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.kernel, self.bias, padding=1)).mean((2, 3))
        return self.fc(F.relu(x @ self.matrix))


class LayerNormAll(nn.Module):
    """Norms over channels and positions, and one without parameters."""

    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = nn.Conv2d(3, 16, 3, 2, 1), nn.LayerNorm([16, 16, 16]), nn.Conv2d(16, 24, 3, padding=1)
        self.m, self.tail = nn.LayerNorm(24, elementwise_affine=False), nn.Linear(24, 10)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.n(self.a(x)))))
        return self.tail(self.m(x.mean((2, 3))))


class GroupNormPlain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b, self.tail = (
            nn.Conv2d(3, 32, 3),
            nn.GroupNorm(4, 32, affine=False),
            cbr(32, 16),
            Tail(16),
        )

    def forward(self, x):
        return self.tail(self.b(F.relu(self.n(self.a(x)))))


class Transposed(nn.Module):
    """Transposed convolutions: in groups, depthwise, and plain."""

    def __init__(self):
        super().__init__()
        self.a, self.g = cbr(3, 32, s=2), nn.ConvTranspose2d(32, 16, 2, 2, groups=4)
        self.p, self.d, self.tail = nn.ConvTranspose2d(16, 24, 2, 2), nn.ConvTranspose2d(24, 24, 3, groups=24), Tail(24)

    def forward(self, x):
        return self.tail(F.relu(self.d(F.relu(self.p(F.relu(self.g(self.a(x))))))))


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


class DynamicConv(nn.Module):
    """Kernels mixed from experts by the image, one conv group an image."""

    def __init__(self):
        super().__init__()
        self.a, self.gate = cbr(3, 16, s=2), nn.Linear(16, 3)
        self.experts, self.tail = nn.Parameter(torch.randn(3, 24, 16, 3, 3) * 0.1), Tail(24)

    def forward(self, x):
        x = self.a(x)
        n, c, h, w = x.shape
        mix = self.gate(x.mean((2, 3))).softmax(1)
        kernel = (mix.view(n, 3, 1, 1, 1, 1) * self.experts).sum(1).reshape(-1, c, 3, 3)
        out = F.conv2d(x.reshape(1, n * c, h, w), kernel, padding=1, groups=n)
        return self.tail(F.relu(out.reshape(n, -1, h, w)))


class Standardised(nn.Conv2d):
    """Its weight standardised in every pass, as in BiT's ResNets."""

    def forward(self, x):
        w = F.batch_norm(self.weight.reshape(1, self.out_channels, -1), None, None, training=True, momentum=0.0)
        return F.conv2d(x, w.reshape_as(self.weight), self.bias, self.stride, self.padding)


class StandardisedNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 16), Standardised(16, 32, 3, padding=1), cbr(32, 24), Tail(24)

    def forward(self, x):
        return self.tail(self.c(F.relu(self.b(self.a(x)))))


class EfficientChannelAttention(nn.Module):
    """A convolution over the means of neighbouring channels."""

    def __init__(self):
        super().__init__()
        self.a, self.conv, self.b, self.tail = (
            cbr(3, 32),
            nn.Conv1d(1, 1, 3, padding=1, bias=False),
            cbr(32, 24),
            Tail(24),
        )

    def forward(self, x):
        x = self.a(x)
        y = self.conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)
        return self.tail(self.b(x * y.sigmoid().expand_as(x)))


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


class Locked(Plain):
    """Keeps a lock, and something in its extra state."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def get_extra_state(self):
        return {"epoch": 3}

    def set_extra_state(self, state):
        self.epoch = state["epoch"]


class ScriptedPart(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 16), torch.jit.script(cbr(16, 16)), cbr(16, 24), Tail(24)

    def forward(self, x):
        return self.tail(self.c(self.b(self.a(x))))


class NormsInPlace(nn.Module):
    """Norms of features in the middle, activations and sums in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), nn.Conv2d(16, 16, 3, padding=1), Tail(16)

    def forward(self, x):
        x = self.a(x)
        y = self.b(x)
        y += x
        y = F.relu_(y) * 0.5
        return self.tail(F.normalize(y, dim=(2, 3)))


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


def masked():
    """Weights under a mask of torch.nn.utils.prune."""
    model = Plain()
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d):
            prune.l1_unstructured(module, "weight", 0.3)
    model.eval()(torch.randn(2, *IMAGE))
    return model


def functional():
    """All of it under vmap."""

    class Mapped(Plain):
        def forward(self, x):
            return torch.vmap(lambda image: super(Mapped, self).forward(image[None])[0])(x)

    return Mapped()


class EncoderLayers(nn.Module):
    """PyTorch's own transformer layers, which run as one fused operator where they may."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(cbr(3, 16, s=2), cbr(16, 16, s=2))
        layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        self.encoder, self.fc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.encoder(self.f(x).flatten(2).transpose(1, 2)).mean(1))


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


MORE = {
    "dataclass_output": (DataclassOut, IMAGE), "raw_conv": (RawConv, IMAGE), "layernorm_all": (LayerNormAll, IMAGE),
    "groupnorm_plain": (GroupNormPlain, IMAGE), "transposed": (Transposed, IMAGE), "attention": (Attention, IMAGE),
    "fused_attention": (FusedAttention, IMAGE), "mixer": (Mixer, IMAGE), "embedded": (Embedded, IMAGE),
    "writes_into": (WritesInto, IMAGE), "dynamic_conv": (DynamicConv, IMAGE), "standardised": (StandardisedNet, IMAGE),
    "eca": (EfficientChannelAttention, IMAGE), "unequal_split": (Unequal, IMAGE), "max_over_pairs": (MaxOverPairs, IMAGE),
    "generator": (Generator, IMAGE), "space_to_depth": (SpaceToDepth, IMAGE), "patches": (Patches, IMAGE),
    "coordinates": (Coordinates, IMAGE), "einsum": (Einsum, IMAGE), "by_place": (ByPlace, IMAGE), "rolled": (Rolled, IMAGE),
    "not_persistent": (NotPersistent, IMAGE), "gru_cell": (GatedUnits, IMAGE), "locked": (Locked, IMAGE),
    "scripted_part": (ScriptedPart, IMAGE), "norms_in_place": (NormsInPlace, IMAGE), "masked": (masked, IMAGE),
    "vmap": (functional, IMAGE), "unpacked": (Unpacked, IMAGE), "by_number": (ByNumber, IMAGE),
    "encoder_layers": (EncoderLayers, IMAGE), "kept_width": (KeptWidth, IMAGE), "kept_half": (KeptHalf, IMAGE),
    "kept_splits": (KeptSplits, IMAGE), "kept_bound": (KeptBound, IMAGE), "kept_shape": (KeptShape, IMAGE),
    "kept_heads": (KeptHeads, IMAGE), "made_within": (MadeWithin, IMAGE),
}  # fmt: skip
