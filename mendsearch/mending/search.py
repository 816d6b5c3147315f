"""A search put together: what is asked of which network, and the parts that answer it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mendsearch.budget import Limits, build_cost_model
from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.coupling.copying import unwrapped
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling
from mendsearch.errors import CouplingError, DataError, ModelError
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.space import Space
from mendsearch.mending.weights import Weights
from mendsearch.modes import evaluating
from mendsearch.prepruning import by_curves, cut, error_curves, pre_prune
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA, FilterRanking, RankingInputs
from mendsearch.ranking.statistics import InputStatistics, input_statistics

POWERS = (1.0, 1.5, 2.0)
"""Of the error curves, one structure to start from for each."""
BATCH = 128
"""Images of one forward pass."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, how its channels hang together, and the budget.

    Attributes:
        model: the dense network; the search never changes it.
        coupling: its coupling groups.
        limits: the budget in absolute numbers, with the cost model.
    """

    model: nn.Module
    coupling: Coupling
    limits: Limits


def build_problem(model: nn.Module, images: Tensor, budget: Budget, prune: PruneSpec | None = None) -> Problem:
    """Find the coupling groups, and hold the budget against them.

    Raises:
        DataError: the network refuses the images.
        ModelError: its outputs are no logits, or it is no network that can be pruned.
        CouplingError: nothing is prunable.
        BudgetError: the budget cannot be met, or is met already.
    """
    prune = prune or PruneSpec()
    model = unwrapped(model)
    coupling = find_coupling(model, images, prune.exclude)
    if not coupling.groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(coupling.whole.items())[:3])
        raise CouplingError(f"nothing in the network is prunable ({reasons or 'it has no layer with channels'})")
    with evaluating(model), torch.no_grad():
        outputs = model(images[:2].to(next(model.parameters()).device))
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        raise ModelError(
            f"the network gives {_shape(outputs)} for two images, expected logits (2, num_classes); "
            f"wrap it in a module that gives them"
        )
    if not torch.isfinite(outputs).all():
        raise ModelError("the network's outputs are not finite; check its weights and the calibration images")
    return Problem(model, coupling, Limits(budget, build_cost_model(model, coupling), prune.multiple))


def rank_channels(
    problem: Problem, images: Tensor, criterion: str, seed: int, reporter: Reporter
) -> tuple[FilterRanking, dict[str, InputStatistics]]:
    """One pass over the calibration images (N, C, H, W), and the ranking made from what the consumers read.

    Args:
        problem: the network.
        images: calibration images.
        criterion: its name.
        seed: for a criterion that draws.
        reporter: where progress goes.
    """
    passes = -(-len(images) // BATCH)
    with reporter.stage("rank", passes + len(problem.coupling.groups)) as stage:
        statistics = input_statistics(problem.model, problem.coupling, images, BATCH, stage.advance)
        inputs = RankingInputs(problem.model, problem.coupling, statistics, images, seed)
        return CRITERIA[criterion].rank(inputs, stage.advance), statistics


def _shape(outputs: object) -> str:
    return f"a tensor {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"


class Search:
    """The parts of one search: scorer, space, and the structures that need no search.

    Args:
        problem: the network and the budget.
        ranking: of its channels.
        statistics: of the inputs of the consumers.
        calibration: (N, C, H, W) float32.
        validation: (N, C, H, W) float32.
        labels: (N,) int64, or None; they are looked at only where `mend.score` is `loss`.
        prune: rule and floor.
        mend: how to score.

    Raises:
        DataError: the score needs labels, and there are none.

    Attributes:
        images: calibration, validation, and the labels that are looked at, if any.
        curves: error curves of the coupling groups.
        starts: structures to be scored before the sampler proposes any: those of the error curves, then the controls.
        uniform: (G,) int64, the rule `uniform` cut at the budget.
        pre_pruned: (G,) int64, the rule of `prune` cut at the budget.
    """

    def __init__(
        self,
        problem: Problem,
        ranking: FilterRanking,
        statistics: Mapping[str, InputStatistics],
        *,
        calibration: Tensor,
        validation: Tensor,
        labels: Tensor | None,
        prune: PruneSpec,
        mend: MendSpec,
    ) -> None:
        self.problem, self.ranking, self.statistics = problem, ranking, statistics
        if mend.score == "loss" and labels is None:
            raise DataError('score "loss" needs labels for the validation images; give them, or use "agreement"')
        judges = labels if mend.score == "loss" else None
        self.images = (calibration, validation, judges)
        limits = problem.limits
        self.curves = error_curves(problem.model, problem.coupling, ranking, statistics)
        self.uniform = pre_prune("uniform", ranking, self.curves, limits)
        self.pre_pruned = pre_prune(prune.rule, ranking, self.curves, limits)
        # uniform whatever the rule: no coupling group starves, which fine-tuning would pay for (docs/adr/0006)
        self.space = Space(cut("uniform", ranking, self.curves, limits, scale=prune.floor), limits)
        by_power = [by_curves(self.curves, limits, power) for power in POWERS]
        self.starts = [self.space.project(counts) for counts in (*by_power, self.pre_pruned, self.uniform)]
        weights = Weights(problem.model, problem.coupling, ranking, statistics, calibration, mend.reconstruction)
        self.scorer = Scorer(weights, validation, judges)

    def fingerprint(self) -> str:
        """Equal for two searches whose scores mean the same: weights, data, ranking, floor, budget and scoring."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.scorer.weights.slicer.dense.items()):
            digest.update(name.encode())
            digest.update(_bytes(tensor))
        for tensor in (part for part in self.images if part is not None):
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(_bytes(tensor))
        for order in self.ranking.orders:
            digest.update(order.tobytes())
        digest.update(self.space.floor.tobytes())
        digest.update(self.problem.limits.steps.tobytes())
        digest.update(repr(sorted(self.problem.limits.absolute.items())).encode())
        digest.update(repr(self.scorer.version).encode())
        return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
