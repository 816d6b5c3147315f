"""Reconstruction in sequence: every layer fitted to the dense network's outputs from what it really reads.

One forward pass of the pruned network over all images does it all. As the pass reaches a layer, the layer's weights
are solved for from the inputs that have just been computed, and the pass goes on with them; batch norms are corrected
on the way. Where the outputs meet another branch in a sum, the layer is fitted to make up for what that branch lacks
too: a residual block is reconstructed as a whole. No labels, no gradients.

A layer is changed only as far as images that it was not fitted to bear out: they choose the ridge, which pulls towards
the weights at the start, and where no ridge lowers their error the layer stays as it is. A layer whose inputs pruning
has not touched is not fitted at all.

Reference: reconstruction of a layer from the pruned network's own inputs is He et al., "Channel Pruning for
Accelerating Very Deep Neural Networks", ICCV 2017, section 3.2; there too the branch makes up for the shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mendsearch.modes import evaluating
from mendsearch.reconstruction.branches import Branches, Tip
from mendsearch.reconstruction.channels import TINY
from mendsearch.reconstruction.norms import Correction
from mendsearch.reconstruction.patches import outputs_at, patches_at, weight_of
from mendsearch.reconstruction.targets import Dense, Target

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""λ as fractions of the mean variance of a layer's inputs, to choose from."""
SMALL = 1e-2
"""Where a batch norm's gain is below this part of its mean gain, the layer cannot make up for another branch."""


class Fit:
    """Fits the layers of one pruned network as a forward pass reaches them.

    Args:
        dense: what the dense network does with the images that the pass will be given.
        rows: by layer and by batch norm, (O,) int64, channels that stay; those that are not named keep all.
        fitted: images at the front that layers are fitted to; the others choose how far.
    """

    def __init__(self, dense: Dense, rows: Mapping[str, Tensor], fitted: int) -> None:
        self._dense, self._rows, self._fitted = dense, rows, fitted
        self._waiting: tuple[str, Tensor] | None = None

    @torch.no_grad()
    def run(self, model: nn.Module, forward: Callable[[], object]) -> None:
        """Run `forward`, one pass of `model` over the images; its weights and batch norms are changed in place.

        Its batch norms must hold the dense network's own statistics.
        """
        branches = Branches(model, list(self._dense.targets), on_input=self._reach, on_sum=self._make_up)
        with evaluating(model), Correction(model, self._dense.norms, self._rows) as self._norms, branches:
            forward()

    def _reach(self, layer: str, module: nn.Module, inputs: Tensor) -> None:
        target = self._dense.targets[layer]
        if target.other is not None:
            self._waiting = (layer, inputs)
        elif not target.untouched(inputs):
            with torch.autocast(inputs.device.type, enabled=False):
                _Solver(module, inputs, target, self._fitted).fit(self._outputs(layer, target.outputs))

    def _make_up(self, tip: Tip, other: Tensor) -> Tensor:
        """The outputs of the layer, or of its batch norm, once it is fitted to what the other branch lacks too."""
        target, waiting = self._dense.targets[tip.layer], self._waiting
        self._waiting = None
        if waiting is None or waiting[0] != tip.layer or target.other is None or target.gain is None:
            return tip.outputs
        inputs = waiting[1]
        with torch.autocast(other.device.type, enabled=False):
            lacking = self._outputs(tip.layer, target.other) - outputs_at(tip.module, other, target.places).float()
            if target.untouched(inputs) and not lacking.any():
                return tip.outputs
            gain = self._outputs(tip.layer, target.gain)
            usable = gain.abs() > SMALL * gain.abs().mean()
            outputs = self._outputs(tip.layer, target.outputs)
            wanted = outputs + torch.where(usable, lacking / torch.where(usable, gain, 1.0), 0.0)
            _Solver(tip.module, inputs, target, self._fitted).fit(wanted)
        found = tip.module(inputs)
        if tip.norm is None:
            return found  # type: ignore[no-any-return]
        self._norms.again(tip.norm, _ratio(wanted, outputs))
        if tip.norm.bias is not None:
            tip.norm.bias.add_(lacking.mean(0))
        return tip.norm(found)  # type: ignore[no-any-return]

    def _outputs(self, layer: str, values: Tensor) -> Tensor:
        rows = self._rows.get(layer)
        return values if rows is None else values.index_select(-1, rows)


def _ratio(wanted: Tensor, outputs: Tensor) -> Tensor:
    """(O,) variance of the one over that of the other; 1 where there is nothing to divide by."""
    ratio = wanted.var(0, correction=0) / outputs.var(0, correction=0)
    return torch.nan_to_num(ratio, 1.0, 1.0, 1.0)


class _Solver:
    """The least squares of one layer: patches of its inputs against wanted outputs, both centred where a shift is free.

    Args:
        module: the layer, sliced.
        inputs: (N, C, ...) that it reads.
        target: says which positions, and whether a shift is free.
        fitted: images at the front that the layer is fitted to.
    """

    def __init__(self, module: nn.Module, inputs: Tensor, target: Target, fitted: int) -> None:
        self._module, self._free = module, target.absorbs_shift
        self._patches = patches_at(module, inputs, target.places).transpose(0, 1).float().contiguous()
        self._split = fitted * target.places.shape[1]

    def fit(self, wanted: Tensor) -> None:
        """Change the layer's weight, and its bias if it has one, in place.

        Args:
            wanted: (N P, O) outputs at the target's positions.
        """
        groups, rows, features = self._patches.shape
        if not 0 < self._split < rows:
            return
        weight, bias = weight_of(self._module), self._module.bias
        missing = wanted.view(rows, groups, -1).transpose(0, 1) - self._patches @ weight.float().reshape(
            groups, -1, features
        ).transpose(1, 2)
        if bias is not None:
            missing = missing - bias.float().view(groups, 1, -1)  # type: ignore[operator]
        seen = _Moments(self._patches[:, : self._split], missing[:, : self._split], self._free)
        held = _Moments(self._patches[:, self._split :], missing[:, self._split :], self._free, seen)
        errors = {ridge: held.error(seen.change(ridge)) for ridge in RIDGES}
        ridge = min(errors, key=lambda ridge: errors[ridge])
        both = seen.merged(held)
        change = both.change(ridge) if errors[ridge] < 0 else torch.zeros_like(both.crossed)
        weight.add_(change.transpose(1, 2).reshape(weight.shape).to(weight.dtype))
        if bias is not None:
            shift = both.wanted - (both.mean[:, None] @ change)[:, 0]
            bias.add_(shift.flatten().to(bias.dtype))  # type: ignore[operator]


class _Moments:
    """Second moments of what a layer reads and of what it lacks, over some rows.

    Args:
        patches: (conv groups, rows, features) float32.
        missing: (conv groups, rows, outputs) float32.
        centred: about the means of these rows.
        about: where given, about the means of those.
    """

    def __init__(self, patches: Tensor, missing: Tensor, centred: bool, about: _Moments | None = None) -> None:
        self.rows = patches.shape[1]
        if about is not None:
            self.mean, self.wanted = about.mean, about.wanted
        elif centred:
            self.mean, self.wanted = patches.mean(1).double(), missing.mean(1).double()
        else:
            self.mean, self.wanted = (torch.zeros_like(part[:, 0], dtype=torch.float64) for part in (patches, missing))
        patches, missing = patches - self.mean[:, None].float(), missing - self.wanted[:, None].float()
        turned = patches.transpose(1, 2)
        self.gram, self.crossed = _finite(turned @ patches / self.rows), _finite(turned @ missing / self.rows)
        self._shift = (_finite(patches.mean(1)), _finite(missing.mean(1))) if centred else None

    def change(self, ridge: float) -> Tensor:
        """(conv groups, features, outputs) float64, the weights of least squares with that ridge.

        The ridge of a conv group grows tenfold until there is a factor.
        """
        scale = self.gram.diagonal(dim1=1, dim2=2).mean(1) + TINY
        ridges, unit = torch.full_like(scale, ridge), torch.eye(self.gram.shape[1]).to(self.gram)
        while True:
            factors, failed = torch.linalg.cholesky_ex(self.gram + (ridges * scale)[:, None, None] * unit)
            if not failed.any():
                return torch.cholesky_solve(self.crossed, factors)
            ridges = torch.where(failed > 0, 10 * ridges, ridges)

    def error(self, change: Tensor) -> float:
        """What `change` adds to the mean squared error over these rows, summed over outputs."""
        return float(((self.gram @ change - 2 * self.crossed) * change).sum())

    def merged(self, held: _Moments) -> _Moments:
        """Of these rows and `held`, which are about the means of these, about the means of all."""
        part = held.rows / (self.rows + held.rows)
        self.gram, self.crossed = (
            (1 - part) * ours + part * theirs for ours, theirs in ((self.gram, held.gram), (self.crossed, held.crossed))
        )
        if held._shift is not None:
            mean, wanted = (part * shift for shift in held._shift)
            self.gram = self.gram - mean[:, :, None] * mean[:, None]
            self.crossed = self.crossed - mean[:, :, None] * wanted[:, None]
            self.mean, self.wanted = self.mean + mean, self.wanted + wanted
        return self


def _finite(values: Tensor) -> Tensor:
    """In float64. What is not finite counts as nothing; the outputs of such a candidate are not finite either, and its
    score says so."""
    return torch.nan_to_num(values.double(), 0.0, 0.0, 0.0)
