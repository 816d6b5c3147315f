"""Weights that are computed, masked or shared, and norms: small networks, one kind of trouble each. WEIGHTS: name -> (factory, shape of one item)."""

from __future__ import annotations

import threading

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from tests.cases.networks import IMAGE, Plain, Tail, cbr


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


class RMSNorms(nn.Module):
    """Norms by the root mean square over channels, as a module, without parameters, and as a function."""

    def __init__(self):
        super().__init__()
        self.a, self.n, self.m = nn.Linear(3, 24), nn.RMSNorm(24), nn.RMSNorm(20, elementwise_affine=False)
        self.b, self.c, self.tail = nn.Linear(24, 20), nn.Linear(20, 16), nn.Linear(16, 10)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 16))

    def forward(self, x):
        x = F.relu(self.n(self.a(x.flatten(2).transpose(1, 2))))
        x = F.relu(self.c(F.relu(self.m(self.b(x)))))
        return self.tail(F.rms_norm(x, self.scale.shape, self.scale, eps=1e-5).mean(1))


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


WEIGHTS = {
    "raw_conv": (RawConv, IMAGE),
    "layernorm_all": (LayerNormAll, IMAGE),
    "groupnorm_plain": (GroupNormPlain, IMAGE),
    "rms_norms": (RMSNorms, IMAGE),
    "transposed": (Transposed, IMAGE),
    "dynamic_conv": (DynamicConv, IMAGE),
    "standardised": (StandardisedNet, IMAGE),
    "eca": (EfficientChannelAttention, IMAGE),
    "locked": (Locked, IMAGE),
    "scripted_part": (ScriptedPart, IMAGE),
    "norms_in_place": (NormsInPlace, IMAGE),
    "masked": (masked, IMAGE),
    "vmap": (functional, IMAGE),
}
