"""Error curves in nats: what removed channels cost the network's outputs, not those of the next layer alone.

To second order, an error δ in the outputs of a layer moves the network's outputs by a divergence of ½ δᵀ F δ, where
F = E[g gᵀ] is Fisher's information: g is the gradient of the logarithm of a class's probability, and the class is drawn
from the network's own prediction, so that no labels are needed. Errors at different positions are taken to be
independent. With F^½ W in place of a consumer's weights W, error curves are in nats, and comparable between layers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.budget import Floats, Limits
from mendsearch.coupling.layout import Consumer, Coupling, Ints
from mendsearch.mending.search import Problem
from mendsearch.modes import evaluating
from mendsearch.prepruning.curves import _curve, by_curves
from mendsearch.ranking import FilterRanking
from mendsearch.ranking.statistics import InputStatistics

BATCH = 32
"""Images of one backward pass."""
DRAWS = 2
"""Classes that are drawn for an image."""
POWER = 1.5
"""Exponent of the curves before they are summed. With 1, few blocks lose nearly all where much is removed, and there
the second order no longer holds; docs/results/real-weights.md says on which photographs that was seen."""
STAYS = 1e6
"""Nats that the first channel of a coupling group that must stay whole is said to cost."""


def by_nats(
    problem: Problem,
    ranking: FilterRanking,
    statistics: dict[str, InputStatistics],
    images: Tensor,
    limits: Limits,
    chosen: np.ndarray,
) -> Ints:
    """Keep counts that fit `limits` at the least sum of error curves in nats, raised to `POWER`.

    Args:
        problem: network and coupling groups.
        ranking: of their channels.
        statistics: of the inputs of the consumers.
        images: (N, C, H, W) float32, for Fisher's information.
        limits: on the pruned network.
        chosen: (G,) bool, coupling groups that are cut; the others stay whole.
    """
    curves = curves_in_nats(problem, ranking, statistics, images)
    for group in np.flatnonzero(~chosen):
        curves[group] = STAYS * np.arange(len(curves[group]))[::-1]
    return by_curves(curves, limits, POWER)


def curves_in_nats(
    problem: Problem, ranking: FilterRanking, statistics: dict[str, InputStatistics], images: Tensor
) -> list[Floats]:
    """For each coupling group, (width + 1,) float64: the divergence in nats if 0 .. width channels stay."""
    consumers = [c for c in problem.coupling.consumers if c.conv_groups == 1 and c.layer in statistics]
    fisher = fisher_information(problem.model, [consumer.layer for consumer in consumers], images)
    curves = [np.zeros(group.width + 1) for group in problem.coupling.groups]
    for consumer in consumers:
        weight = problem.model.get_submodule(consumer.layer).get_parameter("weight").detach()
        seen = (_root(fisher[consumer.layer]) @ weight.flatten(1).double()).view_as(weight)
        nats = 0.5 * _energy(consumer, seen, statistics[consumer.layer])
        for index in np.unique(consumer.inputs.group[consumer.inputs.group >= 0]):
            curves[index] += nats * _curve(consumer, int(index), seen, statistics[consumer.layer], ranking.orders)
    return curves


def fisher_information(model: nn.Module, layers: list[str], images: Tensor) -> dict[str, Tensor]:
    """By layer, (C_out, C_out) float64: E[g gᵀ] of an image, summed over positions."""
    torch.manual_seed(0)
    found = {layer: torch.zeros(()).double() for layer in layers}
    outputs: dict[str, Tensor] = {}

    def keep(layer: str, given: Tensor) -> None:
        outputs[layer] = given

    hooks = [
        model.get_submodule(layer).register_forward_hook(lambda _m, _i, given, layer=layer: keep(layer, given))
        for layer in layers
    ]
    try:
        with evaluating(model), torch.enable_grad():
            for batch in images.split(BATCH):
                likely = model(batch.clone().requires_grad_()).log_softmax(1)
                for _ in range(DRAWS):
                    drawn = torch.distributions.Categorical(logits=likely.detach()).sample()
                    loss = likely.gather(1, drawn[:, None]).sum()
                    gradients = torch.autograd.grad(loss, list(outputs.values()), retain_graph=True)
                    for layer, gradient in zip(outputs, gradients, strict=True):
                        rows = gradient.transpose(0, 1).flatten(1).double()
                        found[layer] = found[layer] + rows @ rows.T / (DRAWS * len(images))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _energy(consumer: Consumer, weight: Tensor, statistics: InputStatistics) -> float:
    """Of the outputs, at which error curves stand with no inputs."""
    gram = statistics.gram(centred=consumer.absorbs_shift)
    rows = weight.flatten(2).movedim(1, 2).flatten(0, 1) if weight.dim() > 2 else weight
    return float(((rows.double() @ gram) * rows.double()).sum())


def inside_blocks(model: nn.Module, coupling: Coupling) -> np.ndarray:
    """(G,) bool, coupling groups inside a block: those with a depthwise convolution."""
    return np.array(
        [
            any(getattr(model.get_submodule(layer), "groups", 1) > 1 for layer in group.layers)
            for group in coupling.groups
        ]
    )
