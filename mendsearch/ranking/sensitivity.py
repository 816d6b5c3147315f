"""What errors in the inputs of a consumer cost the network's outputs, so that errors of different layers compare.

To second order, an error δ in the outputs of a layer moves the network's outputs by a divergence of ½ δᵀ F δ. For
class probabilities F is Fisher's information E[g gᵀ]: g is the gradient of the log-likelihood of a class that is drawn
from the network's own prediction, so that no labels are needed. Other outputs have a likelihood to draw from as well
(`Divergence.drawn`). Errors at different positions are taken to be independent.

Reference: Martens, "New Insights and Perspectives on the Natural Gradient Method", JMLR 2020, sections 5 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch
from mendsearch.coupling.layout import Coupling
from mendsearch.errors import ModelError
from mendsearch.modes import evaluating, run_one, to_network
from mendsearch.outputs import Comparison
from mendsearch.ranking.statistics import InputStatistics

ITEMS = 256
"""Items of which gradients are taken; more move no structure."""
DRAWS = 2
"""Decisions that are drawn for an item."""
BATCH = 32
"""Items of one backward pass, at most."""
PASS_BYTES = 2 * 2**30
"""Memory of the outputs that a backward pass keeps, at most."""


def with_sensitivity(
    model: nn.Module,
    coupling: Coupling,
    statistics: Mapping[str, InputStatistics],
    inputs: Batch,
    comparison: Comparison,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, InputStatistics]:
    """The statistics, completed by `InputStatistics.sensitivity` of every consumer that has no conv groups.

    Args:
        model: the dense network; not changed.
        coupling: names the consumers.
        statistics: input statistics, by name of the consumer.
        inputs: of N items.
        comparison: the divergences of the outputs.
        batch_size: items a backward pass.
        on_batch: called after each backward pass.

    Raises:
        ModelError: the outputs have no gradient, or one that is not finite.
    """
    layers = [c.layer for c in coupling.consumers if c.conv_groups == 1 and c.layer in statistics]
    if not layers:  # all are read by transposed convolutions, say
        return dict(statistics)
    found = sensitivities(model, layers, inputs, comparison, batch_size, on_batch)
    return dict(statistics) | {
        layer: replace(statistics[layer], sensitivity=sensitivity) for layer, sensitivity in found.items()
    }


def sensitivities(
    model: nn.Module,
    layers: list[str],
    inputs: Batch,
    comparison: Comparison,
    batch_size: int,
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """By layer, (C_in, C_in) float64: E[Wᵀ g gᵀ W] of an item, summed over positions of the outputs and kernel taps.

    Raises:
        ModelError: the outputs have no gradient, or one that is not finite.
    """
    generator = torch.Generator().manual_seed(0)
    sums = {layer: _Sum(model.get_submodule(layer)) for layer in layers}
    with _Kept(model, layers) as outputs, evaluating(model), torch.enable_grad():
        for batch in inputs.split(batch_size):
            outputs.clear()
            given = to_network(batch, model).call(model)
            kept = [(layer, output) for layer, calls in outputs.items() for output in calls]
            for _ in range(DRAWS):
                for (layer, _), gradient in zip(
                    kept, _gradients(comparison.drawn(given, generator), kept), strict=True
                ):
                    if gradient is not None:
                        sums[layer].add(gradient)
            on_batch()
    found = {layer: total.of_inputs() / (DRAWS * len(inputs)) for layer, total in sums.items()}
    if not all(bool(torch.isfinite(matrix).all()) for matrix in found.values()):
        raise ModelError("the gradients of the outputs are not finite")
    return found


class _Sum:
    """E[Wᵀ g gᵀ W] of one layer. A kernel of several taps is multiplied in the end; one tap at once, since a classifier
    may have far more outputs than inputs."""

    def __init__(self, module: nn.Module) -> None:
        weight = module.get_parameter("weight").detach().float()
        self._taps = weight.flatten(2).movedim(2, 0) if weight.dim() > 2 else weight[None]  # (K, C_out, C_in)
        self._channels = 1 if isinstance(module, nn.modules.conv._ConvNd) else -1
        size = self._taps.shape[2] if len(self._taps) == 1 else self._taps.shape[1]
        self._total = weight.new_zeros(size, size, dtype=torch.float64)

    def add(self, gradient: Tensor) -> None:
        """Add the gradient of the layer's outputs."""
        rows = gradient.movedim(self._channels, -1).flatten(0, -2).float()
        rows = rows @ self._taps[0] if len(self._taps) == 1 else rows
        self._total += (rows.T @ rows).double()

    def of_inputs(self) -> Tensor:
        """(C_in, C_in)."""
        if len(self._taps) == 1:
            return self._total
        taps = self._taps.double()
        return torch.stack([tap.T @ self._total @ tap for tap in taps]).sum(0)


def sample(inputs: Batch) -> Batch:
    """Evenly spaced items, `ITEMS` at most."""
    return inputs[torch.arange(0, len(inputs), -(-len(inputs) // ITEMS))]


def affordable(model: nn.Module, inputs: Batch) -> int:
    """How many items a backward pass takes within `PASS_BYTES`, `BATCH` at most."""
    total = 0

    def measure(name: str, module: nn.Module, inputs: object, output: object) -> None:
        nonlocal total
        total += output.numel() if isinstance(output, Tensor) else 0

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    run_one(model, inputs, leaves, measure)
    return int(min(BATCH, max(1, PASS_BYTES // (2 * 4 * max(total, 1)))))


class _Kept:
    """Within the scope, what each layer puts out is kept, call by call.

    Layers give a copy away, since an operator that works in place would change what was kept. The first layers' outputs
    become leaves, so that no parameter needs a gradient.
    """

    def __init__(self, model: nn.Module, layers: list[str]) -> None:
        self._modules = {layer: model.get_submodule(layer) for layer in layers}
        self._outputs: dict[str, list[Tensor]] = {}

    def __enter__(self) -> dict[str, list[Tensor]]:
        self._hooks = [
            module.register_forward_hook(lambda _m, _i, given, layer=layer: self._keep(layer, given))
            for layer, module in self._modules.items()
        ]
        return self._outputs

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _keep(self, layer: str, given: Tensor) -> Tensor:
        kept = given if given.requires_grad else given.detach().requires_grad_()
        self._outputs.setdefault(layer, []).append(kept)
        return kept.clone()


def _gradients(drawn: Tensor, kept: list[tuple[str, Tensor]]) -> tuple[Tensor | None, ...]:
    try:
        return torch.autograd.grad(drawn, [output for _, output in kept], retain_graph=True, allow_unused=True)
    except RuntimeError as error:  # a forward pass without gradients, or an operator that has none
        raise ModelError(f"the outputs have no gradient ({str(error).splitlines()[0]})") from error
