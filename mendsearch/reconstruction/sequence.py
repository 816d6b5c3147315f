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
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from mendsearch.modes import averaging
from mendsearch.reconstruction.branches import Branches, Tip
from mendsearch.reconstruction.channels import ridged_factor
from mendsearch.reconstruction.patches import outputs_at, patches_at, weight_of
from mendsearch.reconstruction.targets import Target

RIDGE = 1e-4
"""λ as a fraction of the mean variance of a layer's inputs; it pulls towards the weights at the start."""
SMALL = 1e-2
"""Where a batch norm's gain is below this part of its mean gain, the layer cannot make up for another branch."""


class Fit:
    """Fits the layers of one pruned network as a forward pass reaches them.

    Args:
        targets: by layer, of the images that the pass will be given.
        rows: by layer, (O,) int64, output channels that stay; layers that are not named keep all.
        on_layer: called after each layer.
    """

    def __init__(
        self, targets: Mapping[str, Target], rows: Mapping[str, Tensor], on_layer: Callable[[], None] = lambda: None
    ) -> None:
        self._targets, self._rows, self._on_layer = targets, rows, on_layer
        self._solvers: dict[str, _Solver] = {}

    @torch.no_grad()
    def run(self, model: nn.Module, forward: Callable[[], object]) -> None:
        """Run `forward`, one pass of `model` over the images; its weights and batch norms are changed in place.

        Batch norms must hold no statistics yet: those of this pass are the only ones.
        """
        branches = Branches(model, list(self._targets), on_input=self._solve, on_sum=self._make_up)
        with ExitStack() as stack:
            stack.enter_context(averaging(model))
            stack.enter_context(branches)
            forward()

    def _solve(self, layer: str, module: nn.Module, inputs: Tensor) -> None:
        target = self._targets[layer]
        with torch.autocast(inputs.device.type, enabled=False):
            solver = _Solver(module, inputs, target, self._outputs(layer, target.outputs))
            solver.fit()
        self._solvers = {layer: solver} if target.other is not None else {}
        self._on_layer()

    def _make_up(self, tip: Tip, other: Tensor) -> Tensor:
        """The outputs of the layer, or of its batch norm, once it is fitted to what the other branch lacks too."""
        target, solver = self._targets[tip.layer], self._solvers.pop(tip.layer, None)
        if solver is None or target.other is None or target.gain is None:
            return tip.outputs
        with torch.autocast(other.device.type, enabled=False):
            lacking = self._refit(solver, tip, target, other)
        outputs = tip.module(solver.inputs)
        if tip.norm is None:
            return outputs  # type: ignore[no-any-return]
        tip.norm.reset_running_stats()
        if tip.norm.bias is not None:
            tip.norm.bias.add_(lacking.mean(0))
        return tip.norm(outputs)  # type: ignore[no-any-return]

    def _refit(self, solver: _Solver, tip: Tip, target: Target, other: Tensor) -> Tensor:
        """Fit the layer to what the other branch lacks too, which is returned: (N P, O)."""
        assert target.other is not None  # where there is no sum there is no making up
        assert target.gain is not None
        lacking = self._outputs(tip.layer, target.other) - outputs_at(tip.module, other, target.places).float()
        gain = self._outputs(tip.layer, target.gain)
        usable = gain.abs() > SMALL * gain.abs().mean()
        solver.add(torch.where(usable, lacking / torch.where(usable, gain, 1.0), 0.0))
        solver.fit()
        return lacking

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
        patches = patches_at(module, inputs, target.places).transpose(0, 1).float()
        self._mean = patches.mean(1) if self._free else torch.zeros_like(patches[:, 0])
        self._patches = patches - self._mean[:, None]
        gram = self._patches.transpose(1, 2) @ self._patches / patches.shape[1]
        self._factor = torch.stack([ridged_factor(part.double(), RIDGE, "a layer")[1] for part in gram])

    def add(self, wanted: Tensor) -> None:
        """Add (N P, O) to the wanted outputs."""
        self._wanted = self._wanted + wanted

    def fit(self) -> None:
        """Change the layer's weight, and its bias if it has one, in place."""
        groups, rows, _ = self._patches.shape
        weight = weight_of(self.module)
        now = weight.reshape(groups, -1, self._patches.shape[2])
        wanted = self._wanted.view(rows, groups, -1).transpose(0, 1)
        shift = wanted.mean(1) if self._free else torch.zeros_like(wanted[:, 0])
        missing = wanted - shift[:, None] - self._patches @ now.transpose(1, 2)
        moments = self._patches.transpose(1, 2) @ missing / rows
        change = torch.cholesky_solve(moments.double(), self._factor).transpose(1, 2).to(now.dtype)
        weight.add_(change.reshape(weight.shape))
        if self.module.bias is not None:
            fitted = weight.reshape(groups, -1, self._patches.shape[2])
            self.module.bias.copy_((shift - (fitted @ self._mean[:, :, None]).squeeze(2)).flatten())  # type: ignore[operator]
