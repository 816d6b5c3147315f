"""Reconstruction in sequence: every layer fitted to the dense network's outputs from what it really reads.

One forward pass of the pruned network over all items does it all. As the pass reaches a layer, the layer's weights
are solved for from the inputs that have just been computed, and the pass goes on with them; batch norms are corrected
on the way. Where the outputs meet another branch in a sum, the layer is fitted to make up for what that branch lacks
too: a residual block is reconstructed as a whole. No labels, no gradients.

A layer is changed only as far as items that it was not fitted to bear out: they choose the ridge, which pulls towards
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
from mendsearch.reconstruction.norms import Correction
from mendsearch.reconstruction.patches import outputs_at
from mendsearch.reconstruction.regression import Seen, fit
from mendsearch.reconstruction.targets import Dense

SMALL = 1e-2
"""Where a batch norm's gain is below this part of its mean gain, the layer cannot make up for another branch."""


class Fit:
    """Fits the layers of one pruned network as a forward pass reaches them.

    Items that do not fit into one pass are given in several. Each pass starts from the same weights, and fits a layer
    to all that it has been shown since the first; what the last pass leaves is the network.

    Args:
        rows: by layer and by batch norm, (O,) int64, channels that stay; those that are not named keep all.
    """

    def __init__(self, rows: Mapping[str, Tensor]) -> None:
        self._rows = rows
        self._seen: dict[str, Seen | None] = {}
        self._norms: Correction | None = None
        self._waiting: tuple[str, Tensor] | None = None

    @torch.no_grad()
    def run(self, model: nn.Module, forward: Callable[[], object], dense: Dense, fitted: int) -> None:
        """Run `forward`, one pass of `model` over items; its weights and batch norms are changed in place.

        Args:
            model: its batch norms hold the dense network's own statistics.
            forward: runs it once.
            dense: what the dense network does with the same items.
            fitted: items at the front that layers are fitted to; the others choose how far.
        """
        self._dense, self._fitted = dense, fitted
        branches = Branches(model, list(dense.targets), on_input=self._reach, on_sum=self._make_up)
        with evaluating(model), Correction(model, dense.norms, self._rows, self._norms) as self._norms, branches:
            forward()

    def _fit(self, layer: str, module: nn.Module, inputs: Tensor, wanted: Tensor) -> None:
        target = self._dense.targets[layer]
        fitted = self._fitted * len(target.places) // self._dense.items
        self._seen[layer] = fit(module, inputs, target, wanted, fitted, self._seen.get(layer))

    def _reach(self, layer: str, module: nn.Module, inputs: Tensor) -> None:
        target = self._dense.targets[layer]
        if len(inputs) != len(target.sizes):  # as many as the network finds, which pruning may change
            self._waiting = None
        elif target.other is not None:
            self._waiting = (layer, inputs)
        elif not target.untouched(inputs):
            with torch.autocast(inputs.device.type, enabled=False):
                self._fit(layer, module, inputs, self._outputs(layer, target.outputs))

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
            self._fit(tip.layer, tip.module, inputs, wanted)
        found = tip.module(inputs)
        if tip.norm is None:
            return found  # type: ignore[no-any-return]
        assert self._norms is not None
        self._norms.again(tip.norm)
        if tip.norm.bias is not None:
            tip.norm.bias.add_(lacking.mean(0))
        return tip.norm(found)  # type: ignore[no-any-return]

    def _outputs(self, layer: str, values: Tensor) -> Tensor:
        rows = self._rows.get(layer)
        return values if rows is None else values.index_select(-1, rows)
