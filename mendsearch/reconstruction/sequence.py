"""Reconstruction in sequence: every layer fitted to the dense network's outputs from what it really reads.

One forward pass of the pruned network over all images does it all. As the pass reaches a layer, the layer's weights
are solved for from the inputs that have just been computed, and the pass goes on with them; batch norms take their
statistics on the way. Where the outputs meet another branch in a sum, the layer is fitted once more, to make up for
what that branch lacks too: a residual block is reconstructed as a whole. No labels, no gradients.

Reference: reconstruction of a layer from the pruned network's own inputs is He et al., "Channel Pruning for
Accelerating Very Deep Neural Networks", ICCV 2017, section 3.2; there too the branch makes up for the shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mendsearch.modes import averaging
from mendsearch.reconstruction.branches import Branches, Tip
from mendsearch.reconstruction.channels import TINY
from mendsearch.reconstruction.patches import outputs_at, patches_at, weight_of
from mendsearch.reconstruction.targets import Target

RIDGE = 1e-4
"""λ as a fraction of the mean variance of a layer's inputs; it pulls towards the weights at the start."""
ENOUGH = 16
"""Rows a feature from which that ridge will do; with fewer, rows are held out to choose one of `RIDGES`."""
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
SMALL = 1e-2
"""Where a batch norm's gain is below this part of its mean gain, the layer cannot make up for another branch."""


class Fit:
    """Fits the layers of one pruned network as a forward pass reaches them.

    Args:
        targets: by layer, of the images that the pass will be given.
        rows: by layer, (O,) int64, output channels that stay; layers that are not named keep all.
    """

    def __init__(self, targets: Mapping[str, Target], rows: Mapping[str, Tensor]) -> None:
        self._targets, self._rows = targets, rows
        self._solvers: dict[str, _Solver] = {}

    @torch.no_grad()
    def run(self, model: nn.Module, forward: Callable[[], object]) -> None:
        """Run `forward`, one pass of `model` over the images; its weights and batch norms are changed in place.

        Batch norms must hold no statistics yet: those of this pass are the only ones.
        """
        branches = Branches(model, list(self._targets), on_input=self._solve, on_sum=self._make_up)
        with averaging(model), branches:
            forward()

    def _solve(self, layer: str, module: nn.Module, inputs: Tensor) -> None:
        target = self._targets[layer]
        with torch.autocast(inputs.device.type, enabled=False):
            solver = _Solver(module, inputs, target, self._outputs(layer, target.outputs))
            solver.fit()
        self._solvers = {layer: solver} if target.other is not None else {}

    def _make_up(self, tip: Tip, other: Tensor) -> Tensor:
        """The outputs of the layer, or of its batch norm, once it is fitted to what the other branch lacks too."""
        target, solver = self._targets[tip.layer], self._solvers.pop(tip.layer, None)
        if solver is None or target.other is None or target.gain is None:
            return tip.outputs
        with torch.autocast(other.device.type, enabled=False):
            lacking = self._outputs(tip.layer, target.other) - outputs_at(tip.module, other, target.places).float()
            gain = self._outputs(tip.layer, target.gain)
            usable = gain.abs() > SMALL * gain.abs().mean()
            solver.add(torch.where(usable, lacking / torch.where(usable, gain, 1.0), 0.0))
            solver.fit()
        outputs = tip.module(solver.inputs)
        if tip.norm is None:
            return outputs  # type: ignore[no-any-return]
        tip.norm.reset_running_stats()
        if tip.norm.bias is not None:
            tip.norm.bias.add_(lacking.mean(0))
        return tip.norm(outputs)  # type: ignore[no-any-return]

    def _outputs(self, layer: str, values: Tensor) -> Tensor:
        rows = self._rows.get(layer)
        return values if rows is None else values.index_select(-1, rows)


class _Solver:
    """The least squares of one layer: patches of its inputs against wanted outputs, both centred where a shift is free.

    Args:
        module: the layer, sliced.
        inputs: (N, C, ...) that it reads.
        target: says which positions, and whether a shift is free.
        outputs: (N P, O) wanted there.
    """

    def __init__(self, module: nn.Module, inputs: Tensor, target: Target, outputs: Tensor) -> None:
        self.module, self.inputs, self._free, self._wanted = module, inputs, target.absorbs_shift, outputs
        patches = patches_at(module, inputs, target.places).transpose(0, 1).float().contiguous()
        self._mean = patches.mean(1) if self._free else torch.zeros_like(patches[:, 0])
        self._patches = patches - self._mean[:, None]
        ridge = RIDGE if patches.shape[1] >= ENOUGH * patches.shape[2] else self._ridge()
        self._factor = _factor(self._patches, ridge)

    def _ridge(self) -> float:
        """The ridge that does best on the last quarter of the rows when the others are fitted."""
        rows = self._patches.shape[1]
        fitted, held = self._patches[:, : rows * 3 // 4], self._patches[:, rows * 3 // 4 :]
        missing = self._missing()
        seen, unseen = missing[:, : rows * 3 // 4], missing[:, rows * 3 // 4 :]
        errors = {}
        for ridge in RIDGES:
            change = _change(fitted, seen, _factor(fitted, ridge))
            errors[ridge] = float((unseen - held @ change.transpose(1, 2).to(held.dtype)).square().sum())
        return min(errors, key=lambda ridge: errors[ridge])

    def _missing(self) -> Tensor:
        """(conv groups, rows, outputs) that the weight as it is does not give, means apart."""
        groups, rows, features = self._patches.shape
        wanted = self._wanted.view(rows, groups, -1).transpose(0, 1)
        if self._free:
            wanted = wanted - wanted.mean(1, keepdim=True)
        return wanted - self._patches @ weight_of(self.module).reshape(groups, -1, features).transpose(1, 2)

    def add(self, wanted: Tensor) -> None:
        """Add (N P, O) to the wanted outputs."""
        self._wanted = self._wanted + wanted

    def fit(self) -> None:
        """Change the layer's weight, and its bias if it has one, in place."""
        weight, groups = weight_of(self.module), len(self._patches)
        change = _change(self._patches, self._missing(), self._factor).to(weight.dtype)
        weight.add_(change.reshape(weight.shape))
        if self.module.bias is not None:
            fitted = weight.reshape(groups, -1, self._patches.shape[2])
            shift = self._wanted.mean(0) if self._free else torch.zeros_like(self._wanted[0])
            self.module.bias.copy_(shift - (fitted @ self._mean[:, :, None]).flatten())  # type: ignore[operator]


def _factor(patches: Tensor, ridge: float) -> Tensor:
    """(conv groups, features, features) float64, Cholesky factors of the Gram matrices of patches.

    The ridge of a group grows tenfold until there is a factor. What is not finite counts as nothing; the outputs of
    such a candidate are not finite either, and its score says so.
    """
    grams = torch.nan_to_num((patches.transpose(1, 2) @ patches / patches.shape[1]).double(), 0.0, 0.0, 0.0)
    scale = grams.diagonal(dim1=1, dim2=2).mean(1) + TINY
    ridges, unit = torch.full_like(scale, ridge), torch.eye(grams.shape[1]).to(grams)
    while True:
        factors, failed = torch.linalg.cholesky_ex(grams + (ridges * scale)[:, None, None] * unit)
        if not failed.any():
            return factors  # type: ignore[no-any-return]
        ridges = torch.where(failed > 0, 10 * ridges, ridges)


def _change(patches: Tensor, missing: Tensor, factor: Tensor) -> Tensor:
    """(conv groups, outputs, features) float64, the least-squares weights of `missing` outputs."""
    moments = patches.transpose(1, 2) @ missing / patches.shape[1]
    return torch.cholesky_solve(moments.double(), factor).transpose(1, 2)
