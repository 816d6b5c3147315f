"""Small networks of the kinds that people bring, one kind of trouble each. TRAPS: name -> (factory, shape of one item).

What must hold for each: coupling groups are found, or what stays whole has its reason; slices equal the dense network
with the removed channels silenced; MACs are as `torch.utils.flop_counter` counts them; the budget is met by that count;
save, load, export and a training step work; full keep counts give the dense network back. Only what is no network to
prune (no parameters, scripted or traced modules) may be refused, in one line that says why.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations as P
from torch.nn.utils import weight_norm as old_weight_norm
from torch.utils.checkpoint import checkpoint


def cbr(i, o, k=3, s=1, g=1):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), nn.ReLU())


class Tail(nn.Module):
    def __init__(self, c, n=10):
        super().__init__()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(c, n)

    def forward(self, x):
        return self.fc(self.pool(x).flatten(1))


class SharedConv(nn.Module):
    """A conv used twice (shared weights)."""

    def __init__(self):
        super().__init__()
        self.stem, self.shared, self.bn1, self.bn2, self.tail = (
            cbr(3, 32),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.BatchNorm2d(32),
            Tail(32),
        )

    def forward(self, x):
        x = self.stem(x)
        x = F.relu(self.bn1(self.shared(x)))
        x = F.relu(self.bn2(self.shared(x)))
        return self.tail(x)


class SharedHead(nn.Module):
    """One conv head applied to two scales (RetinaNet style)."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head, self.fc = cbr(3, 32), cbr(32, 32, s=2), cbr(32, 24), nn.Linear(48, 10)

    def forward(self, x):
        p = self.a(x)
        q = self.b(p)
        return self.fc(torch.cat([self.head(p).mean((2, 3)), self.head(q).mean((2, 3))], 1))


class TiedWeights(nn.Module):
    """Two modules that share one Parameter object."""

    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b, self.tail = (
            cbr(3, 32),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.Conv2d(32, 32, 3, padding=1),
            Tail(32),
        )
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.tail(F.relu(self.b(F.relu(self.a(self.stem(x))))))


class HardView(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(cbr(3, 16), cbr(16, 32, s=2), nn.AdaptiveAvgPool2d(4))
        self.fc1, self.fc2 = nn.Linear(512, 64), nn.Linear(64, 10)

    def forward(self, x):
        x = self.f(x)
        x = x.view(x.size(0), 512)
        return self.fc2(F.relu(self.fc1(x)))


class SoftView(HardView):
    def forward(self, x):
        x = self.f(x)
        return self.fc2(F.relu(self.fc1(x.view(x.size(0), -1))))


class WeightNorm(nn.Module):
    def __init__(self, wrap=P.weight_norm):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 32), wrap(nn.Conv2d(32, 32, 3, padding=1)), cbr(32, 32), Tail(32)

    def forward(self, x):
        return self.tail(self.c(F.relu(self.b(self.a(x)))))


class AllWeightNorm(nn.Module):
    def __init__(self):
        super().__init__()
        w = P.weight_norm
        self.net = nn.Sequential(
            w(nn.Conv2d(3, 32, 3, padding=1)), nn.ReLU(), w(nn.Conv2d(32, 32, 3, padding=1)), nn.ReLU()
        )
        self.tail = Tail(32)

    def forward(self, x):
        return self.tail(self.net(x))


class SE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, c // 4), nn.Linear(c // 4, c)

    def forward(self, x):
        b, c = x.shape[:2]
        return torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3)))))).view(b, c, 1, 1)


class ChannelAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.se, self.b, self.tail = cbr(3, 32), SE(32), cbr(32, 48), Tail(48)

    def forward(self, x):
        x = self.a(x)
        return self.tail(self.b(x * self.se(x)))


class PixelShuffleSR(nn.Module):
    """Image in, image out."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(32, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, x):
        return self.f(x)


class PixelShuffleMid(nn.Module):
    """PixelShuffle between prunable convs, logits."""

    def __init__(self):
        super().__init__()
        self.a, self.ps, self.b, self.tail = cbr(3, 64), nn.PixelShuffle(2), cbr(16, 32), Tail(32)

    def forward(self, x):
        return self.tail(self.b(self.ps(self.a(x))))


class Decoder(nn.Module):
    """ConvTranspose2d auto-encoder, image out."""

    def __init__(self):
        super().__init__()
        self.e = nn.Sequential(cbr(3, 32, s=2), cbr(32, 64, s=2))
        self.d = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 2, 2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 3, 1),
        )

    def forward(self, x):
        return self.d(self.e(x))


class DecoderLogits(Decoder):
    def __init__(self):
        super().__init__()
        self.tail = Tail(16)

    def forward(self, x):
        return self.tail(self.d[:5](self.e(x)))


class CRNN(nn.Module):
    def __init__(self, kind=nn.GRU, bidirectional=False):
        super().__init__()
        self.f = nn.Sequential(cbr(3, 32, s=2), cbr(32, 48, s=2), nn.AdaptiveAvgPool2d((1, None)))
        self.rnn = kind(48, 32, batch_first=True, bidirectional=bidirectional)
        self.fc = nn.Linear(64 if bidirectional else 32, 10)

    def forward(self, x):
        x = self.f(x).squeeze(2).permute(0, 2, 1)
        return self.fc(self.rnn(x)[0][:, -1])


class DictOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.f, self.tail, self.tail2 = nn.Sequential(cbr(3, 32), cbr(32, 64)), Tail(64), Tail(64, 4)

    def forward(self, x):
        x = self.f(x)
        return {"logits": self.tail(x), "aux": self.tail2(x)}


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(3, 32), Tail(32)

    def forward(self, x, y):
        return self.tail(self.a(x) + self.b(y))


class Norms(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            norm(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            norm(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            norm(64),
            nn.ReLU(),
        )
        self.tail = Tail(64)

    def forward(self, x):
        return self.tail(self.f(x))


class LN2d(nn.LayerNorm):
    """LayerNorm over channels of NCHW by permuting, as ConvNeXt's."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class KWS(nn.Module):
    """Conv1d keyword spotting (N, 1, 1600)."""

    def __init__(self):
        super().__init__()

        def c(i, o, k, s):
            return nn.Sequential(nn.Conv1d(i, o, k, s, k // 2), nn.BatchNorm1d(o), nn.ReLU())

        self.f = nn.Sequential(c(1, 32, 80, 16), nn.MaxPool1d(4), c(32, 32, 3, 1), c(32, 64, 3, 1))
        self.fc = nn.Linear(64, 12)

    def forward(self, x):
        return self.fc(self.f(x).mean(-1))


class Conv3D(nn.Module):
    def __init__(self):
        super().__init__()

        def c(i, o):
            return nn.Sequential(nn.Conv3d(i, o, 3, padding=1), nn.BatchNorm3d(o), nn.ReLU(), nn.MaxPool3d(2))

        self.f, self.fc = nn.Sequential(c(1, 16), c(16, 32), c(32, 32)), nn.Linear(32, 5)

    def forward(self, x):
        return self.fc(self.f(x).mean((2, 3, 4)))


class UNetCat(nn.Module):
    """Nested cats of cats, with upsampling, reversed order, sliced halves."""

    def __init__(self):
        super().__init__()
        self.e1, self.e2, self.e3 = cbr(3, 16), cbr(16, 24, s=2), cbr(24, 32, s=2)
        self.d2, self.d1, self.tail = cbr(56, 24), cbr(24 + 16 + 16, 20), Tail(20 + 24)

    def forward(self, x):
        a = self.e1(x)
        b = self.e2(a)
        c = self.e3(b)
        u = self.d2(torch.cat([F.interpolate(c, size=b.shape[2:]), b], 1))
        v = self.d1(torch.cat([F.interpolate(u, size=a.shape[2:]), torch.cat([a, a.flip(3)], 1)], 1))
        return self.tail(torch.cat([v, F.interpolate(u, size=a.shape[2:])], 1))


class CatReversed(nn.Module):
    """Halves put together the other way round."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        p, q = self.a(x).chunk(2, 1)
        return self.tail(self.b(torch.cat([q, p], 1)))


class NoBN(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.tail = Tail(64)

    def forward(self, x):
        return self.tail(self.f(x))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.f, self.tail = nn.Sequential(cbr(3, 32), cbr(32, 64, s=2), cbr(64, 64)), Tail(64)

    def forward(self, x):
        return self.tail(self.f(x))


class Control(nn.Module):
    """Stochastic depth / python control flow on data."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 32), cbr(32, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        x = self.a(x)
        if x.mean() > -1e9:
            x = x + self.b(x)
        return self.tail(self.c(x))


class MHAHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.f, self.att, self.fc = (
            nn.Sequential(cbr(3, 32, s=2), cbr(32, 32, s=2)),
            nn.MultiheadAttention(32, 4, batch_first=True),
            nn.Linear(32, 10),
        )

    def forward(self, x):
        t = self.f(x).flatten(2).transpose(1, 2)
        return self.fc(self.att(t, t, t, need_weights=False)[0].mean(1))


class LearnedScale(nn.Module):
    """A learned per-channel nn.Parameter scale, and a registered buffer of per-channel constants."""

    def __init__(self, buffer=False):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)
        v = torch.rand(1, 32, 1, 1) + 0.5
        self.register_buffer("s", v) if buffer else self.register_parameter("s", nn.Parameter(v))

    def forward(self, x):
        return self.tail(self.b(self.a(x) * self.s))


class ConvHead(nn.Module):
    """Fully convolutional classifier: logits of a 1x1 conv, pooled, flattened."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            cbr(3, 32), cbr(32, 64, s=2), nn.Conv2d(64, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, x):
        return self.f(x)


class Binary(nn.Module):
    """One logit, squeezed to (N,)."""

    def __init__(self):
        super().__init__()
        self.f, self.tail = nn.Sequential(cbr(3, 32), cbr(32, 64)), Tail(64, 1)

    def forward(self, x):
        return self.tail(self.f(x)).squeeze(1)


class Regression1(Binary):
    """One output (N, 1)."""

    def forward(self, x):
        return self.tail(self.f(x))


class Embedding(nn.Module):
    """A metric-learning embedding, L2-normalised."""

    def __init__(self):
        super().__init__()
        self.f, self.tail = nn.Sequential(cbr(3, 32), cbr(32, 64)), Tail(64, 128)

    def forward(self, x):
        return F.normalize(self.tail(self.f(x)), dim=1)


def frozen():
    m = Plain()
    for p in m.parameters():
        p.requires_grad_(False)
    return m


IMAGE = (3, 32, 32)
TRAPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (Plain, IMAGE),
    "shared_conv": (SharedConv, IMAGE),
    "shared_head": (SharedHead, IMAGE),
    "tied_weights": (TiedWeights, IMAGE),
    "hard_view": (HardView, IMAGE),
    "soft_view": (SoftView, IMAGE),
    "weight_norm": (WeightNorm, IMAGE),
    "all_weight_norm": (AllWeightNorm, IMAGE),
    "old_weight_norm": (lambda: WeightNorm(old_weight_norm), IMAGE),
    "spectral_norm": (lambda: WeightNorm(P.spectral_norm), IMAGE),
    "old_spectral_norm": (lambda: WeightNorm(nn.utils.spectral_norm), IMAGE),
    "channel_attention": (ChannelAttention, IMAGE),
    "pixelshuffle_sr": (PixelShuffleSR, IMAGE),
    "pixelshuffle_mid": (PixelShuffleMid, IMAGE),
    "decoder": (Decoder, IMAGE),
    "decoder_logits": (DecoderLogits, IMAGE),
    "bilstm": (lambda: CRNN(nn.LSTM, True), IMAGE),
    "dict_output": (DictOut, IMAGE),
    "two_inputs": (TwoInputs, IMAGE),
    "groupnorm": (lambda: Norms(lambda c: nn.GroupNorm(8, c)), IMAGE),
    "groupnorm1": (lambda: Norms(lambda c: nn.GroupNorm(1, c)), IMAGE),
    "instancenorm_affine": (lambda: Norms(lambda c: nn.InstanceNorm2d(c, affine=True)), IMAGE),
    "instancenorm_plain": (lambda: Norms(nn.InstanceNorm2d), IMAGE),
    "layernorm": (lambda: Norms(LN2d), IMAGE),
    "bn_not_affine": (lambda: Norms(lambda c: nn.BatchNorm2d(c, affine=False)), IMAGE),
    "bn_no_stats": (lambda: Norms(lambda c: nn.BatchNorm2d(c, track_running_stats=False)), IMAGE),
    "conv1d_kws": (KWS, (1, 1600)),
    "conv3d": (Conv3D, (1, 8, 16, 16)),
    "unet_cat": (UNetCat, IMAGE),
    "cat_reversed": (CatReversed, IMAGE),
    "no_bn": (NoBN, IMAGE),
    "frozen": (frozen, IMAGE),
    "half": (lambda: Plain().half(), IMAGE),
    "bfloat16": (lambda: Plain().bfloat16(), IMAGE),
    "double": (lambda: Plain().double(), IMAGE),
    "data_parallel": (lambda: nn.DataParallel(Plain()), IMAGE),
    "compiled": (lambda: torch.compile(Plain(), backend="eager"), IMAGE),
    "scripted": (lambda: torch.jit.script(Plain()), IMAGE),
    "traced": (lambda: torch.jit.trace(Plain().eval(), torch.randn(1, 3, 32, 32)), IMAGE),
    "fx": (lambda: torch.fx.symbolic_trace(Plain()), IMAGE),
    "channels_last": (lambda: Plain().to(memory_format=torch.channels_last), IMAGE),
    "sync_bn": (lambda: nn.SyncBatchNorm.convert_sync_batchnorm(Plain()), IMAGE),
    "control": (Control, IMAGE),
    "mha_head": (MHAHead, IMAGE),
    "learned_scale": (LearnedScale, IMAGE),
    "buffer_scale": (lambda: LearnedScale(True), IMAGE),
    "conv_head": (ConvHead, IMAGE),
    "binary_n": (Binary, IMAGE),
    "regression_n1": (Regression1, IMAGE),
    "embedding": (Embedding, IMAGE),
}


class Pad(nn.Module):
    def __init__(self, **kw):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 32, 3, **kw),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, **kw),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.tail = Tail(32)

    def forward(self, x):
        return self.tail(self.f(x))


class Shuffle2(nn.Module):
    """One ShuffleNet v2 unit: chunk, cat, shuffle."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d, self.tail = cbr(3, 32), cbr(16, 16), cbr(16, 16), cbr(32, 48), Tail(48)

    def forward(self, x):
        p, q = self.a(x).chunk(2, 1)
        x = torch.cat([p, self.c(self.b(q))], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.tail(self.d(x))


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.tail = cbr(3, 64), cbr(64, 64, 3, g=8), cbr(64, 64, 1), Tail(64)

    def forward(self, x):
        return self.tail(self.c(self.b(self.a(x))))


class DenseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([cbr(16 + 12 * i, 12) for i in range(4)])
        self.stem, self.tail = cbr(3, 16), Tail(64)

    def forward(self, x):
        fs = [self.stem(x)]
        for layer in self.layers:
            fs.append(layer(torch.cat(fs, 1)))
        return self.tail(torch.cat(fs, 1))


class Maxout(nn.Module):
    """Max of two halves of the channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(16, 32), Tail(32)

    def forward(self, x):
        p, q = self.a(x).chunk(2, 1)
        return self.tail(self.b(torch.maximum(p, q)))


class GLU(Maxout):
    def forward(self, x):
        return self.tail(self.b(F.glu(self.a(x), 1)))


class CReLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = nn.Conv2d(3, 16, 3, padding=1), cbr(32, 32), Tail(32)

    def forward(self, x):
        y = self.a(x)
        return self.tail(self.b(F.relu(torch.cat([y, -y], 1))))


class ChannelIndex(nn.Module):
    """First half of the channels taken by a slice with a hard-coded size."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(16, 32), Tail(32)

    def forward(self, x):
        return self.tail(self.b(self.a(x)[:, :16]))


class PadShortcut(nn.Module):
    """Option-A shortcut of the CIFAR ResNet: zero channels padded on."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 16), nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32)), Tail(32)

    def forward(self, x):
        x = self.a(x)
        return self.tail(F.relu(self.b(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))))


class AttrSize(nn.Module):
    """The forward reads a size kept in an attribute (self.width) of its own."""

    def __init__(self):
        super().__init__()
        self.width, self.a, self.b, self.tail = 32, cbr(3, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        x = self.b(self.a(x))
        return self.tail(x.reshape(x.shape[0], self.width, -1).unsqueeze(-1))


class SoftmaxChannels(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        return self.tail(self.b(self.a(x).softmax(1)))


class Dropouty(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.PReLU(32),
            nn.Dropout2d(0.3),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.PReLU(),
            nn.LocalResponseNorm(5),
        )
        self.tail = Tail(32)

    def forward(self, x):
        return self.tail(self.f(x))


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.tail = cbr(3, 32), cbr(32, 32), Tail(32)

    def forward(self, x):
        return self.tail(checkpoint(self.b, self.a(x), use_reentrant=False))


Out = namedtuple("Out", "logits hidden")


class KwOnly(Plain):
    """Gives a named tuple, as many libraries do."""

    def forward(self, x):
        return Out(super().forward(x), x)


class Quantish(Plain):
    def forward(self, x):
        return super().forward(x.mul(255).round().clamp(0, 255).div(255))


class BNFolded(nn.Module):
    """conv-bn fused by torch.nn.utils.fusion."""

    def __new__(cls):
        m = Plain().eval()
        for s in m.f:
            s[0] = nn.utils.fusion.fuse_conv_bn_eval(s[0], s[1])
            s[1] = nn.Identity()
        return m


def ddp_like():
    m = Plain()
    m.register_buffer("mean", torch.tensor([0.4, 0.4, 0.4]).view(1, 3, 1, 1))
    return m


TRAPS |= {
    "pad_same": (lambda: Pad(padding="same"), IMAGE),
    "pad_reflect": (lambda: Pad(padding=1, padding_mode="reflect"), IMAGE),
    "dilated": (lambda: Pad(padding=2, dilation=2), IMAGE),
    "shuffle_v2": (Shuffle2, IMAGE),
    "grouped": (Grouped, IMAGE),
    "dense_block": (DenseBlock, IMAGE),
    "maxout": (Maxout, IMAGE),
    "glu": (GLU, IMAGE),
    "crelu": (CReLU, IMAGE),
    "channel_slice": (ChannelIndex, IMAGE),
    "pad_shortcut": (PadShortcut, IMAGE),
    "attr_size": (AttrSize, IMAGE),
    "softmax_channels": (SoftmaxChannels, IMAGE),
    "prelu_lrn_dropout": (Dropouty, IMAGE),
    "checkpointed": (Checkpointed, IMAGE),
    "namedtuple_output": (KwOnly, IMAGE),
    "quantish": (Quantish, IMAGE),
    "bn_folded": (BNFolded, IMAGE),
    "extra_buffer": (ddp_like, IMAGE),
    "bare_sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        IMAGE,
    ),
    "single_conv": (lambda: nn.Sequential(nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE),
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 10)), IMAGE),
    "no_params": (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE),
    "lstm_uni": (lambda: CRNN(nn.LSTM), IMAGE),
}
