"""A criterion from gradients: the change of the loss without a filter, to first order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mendsearch.batches import Batch
from mendsearch.modes import evaluating, to_network
from mendsearch.onednn import safe_gradients
from mendsearch.outputs import comparison_of
from mendsearch.ranking.base import Criterion, FilterRanking, RankingInputs, Scores
from mendsearch.ranking.filters import over_filters

BATCH = 32
"""Items per gradient."""


class Taylor(Criterion):
    """Mean square, over batches, of the inner product of a filter with the gradient of its loss.

    No labels are needed: the loss is the cross-entropy with the dense network's own predictions, or the mean square of
    an output that is no classifier's.

    Reference: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, equation 8.
    """

    name = "taylor"

    def rank(self, inputs: RankingInputs, on_group: Callable[[], None] = lambda: None) -> FilterRanking:
        products = _products(inputs)
        found = []
        for index in range(len(inputs.coupling.groups)):
            found.append(over_filters(inputs, index, lambda name, _: products[name]))
            on_group()
        return FilterRanking(self.name, tuple(found))

    def scores(self, inputs: RankingInputs, index: int) -> Scores:
        products = _products(inputs)
        return over_filters(inputs, index, lambda name, _: products[name])


def _products(inputs: RankingInputs) -> dict[str, Tensor]:
    """By name of a weight, (C_out,) mean squares."""
    model = inputs.model
    dims = {name: dim for group in inputs.coupling.groups for name, dim in group.outputs}
    weights = {name: model.get_parameter(name) for name in dims}
    asked = {name: parameter.requires_grad for name, parameter in weights.items()}
    exact = {name: torch.promote_types(weight.dtype, torch.float32) for name, weight in weights.items()}
    totals = {name: weight.new_zeros(weight.shape[dims[name]], dtype=exact[name]) for name, weight in weights.items()}
    given = Batch.of(inputs.batch)
    batches, comparison = given.split(BATCH), comparison_of(model, given, inputs.outputs)
    try:
        for parameter in weights.values():
            parameter.requires_grad_(True)
        with evaluating(model), safe_gradients(model), torch.enable_grad():
            for batch in batches:
                loss = comparison.own_loss(to_network(batch, model).call(model))
                gradients = torch.autograd.grad(loss, list(weights.values()))
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    product = (weight.detach().to(exact[name]) * gradient).movedim(dims[name], 0).flatten(1).sum(1)
                    totals[name] += product.square() / len(batches)
    finally:
        for name, parameter in weights.items():
            parameter.requires_grad_(asked[name])
    return totals
