"""A search put together: the problem (network, coupling groups, budget), and the parts that solve it."""

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
from mendsearch.modes import evaluating, to_network
from mendsearch.prepruning import by_curves, cut, error_curves, pre_prune
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA, FilterRanking, RankingInputs
from mendsearch.ranking.statistics import InputStatistics, input_statistics

POWERS = (1.0, 1.5, 2.0)
"""Exponents of the error curves; each gives one structure to start from."""
BATCH = 128
"""Images per forward pass."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its coupling groups, and the budget.

    Attributes:
        model: the dense network; the search never changes it.
        coupling: coupling groups of the network.
        limits: the budget in absolute numbers, with the cost model.
    """

    model: nn.Module
    coupling: Coupling
    limits: Limits


def build_problem(model: nn.Module, images: Tensor, budget: Budget, prune: PruneSpec | None = None) -> Problem:
    """Find the coupling groups, and check the budget.

    Args:
        model: the dense network, in evaluation mode; not changed. `DataParallel` and `torch.compile` are taken off.
        images: (N, C, H, W) float32; two are enough.
        budget: limits on the pruned network.
        prune: multiple of the keep counts, and layers to exclude.

    Raises:
        DataError: the network does not accept the images.
        ModelError: its outputs are not logits, or it is no network that can be pruned.
        CouplingError: nothing is prunable.
        BudgetError: the budget cannot be met, or is already met.
    """
    prune = prune or PruneSpec()
    model = unwrapped(model)
    coupling = find_coupling(model, images, prune.exclude)
    if not coupling.groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(coupling.whole.items())[:3])
        raise CouplingError(f"nothing in the network is prunable ({reasons or 'it has no layer with channels'})")
    with evaluating(model), torch.no_grad():
        outputs = model(to_network(images[:2], model))
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        raise ModelError(
            f"the network gives {_shape(outputs)} for two images, expected logits (2, num_classes); "
            f"wrap it in a module that returns them"
        )
    if not torch.isfinite(outputs).all():
        raise ModelError("the network's outputs are not finite; check its weights and the calibration images")
    return Problem(model, coupling, Limits(budget, build_cost_model(model, coupling), prune.multiple))


def rank_channels(
    problem: Problem, images: Tensor, criterion: str, seed: int, reporter: Reporter
) -> tuple[FilterRanking, dict[str, InputStatistics]]:
    """Collect the input statistics in one pass over the calibration images, and rank the channels by them.

    Args:
        problem: network and coupling groups.
        images: (N, C, H, W) float32, calibration images.
        criterion: name of the criterion.
        seed: seed of criteria that are random.
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
    """The parts of one search: scorer, search space, and the structures that need no search.

    Args:
        problem: network, coupling groups and budget.
        ranking: filter ranking.
        statistics: input statistics, by name of the consumer.
        calibration: (N, C, H, W) float32, calibration images.
        validation: (N, C, H, W) float32, validation images.
        labels: (N,) int64, labels of the validation images, or None; used only if `mend.score` is `loss`.
        prune: pre-pruning rule and floor.
        mend: score and reconstruction.

    Raises:
        DataError: the score needs labels, and none were given.

    Attributes:
        images: calibration images, validation images, and the labels if they are used.
        curves: error curves of the coupling groups.
        by_power: structures of the error curves, one for each exponent.
        starts: structures that the first trials score: those of the error curves, then the controls.
        uniform: (G,) int64, the control that the rule `uniform` gives at the budget.
        pre_pruned: (G,) int64, the control that the rule of `prune` gives at the budget.
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
            raise DataError('score "loss" needs labels for the validation images; pass them, or use "agreement"')
        judges = labels if mend.score == "loss" else None
        self.images = (calibration, validation, judges)
        limits = problem.limits
        self.curves = error_curves(problem.model, problem.coupling, ranking, statistics)
        self.uniform = pre_prune("uniform", ranking, self.curves, limits)
        self.pre_pruned = pre_prune(prune.rule, ranking, self.curves, limits)
        # uniform whatever the rule: starved coupling groups would cost accuracy after fine-tuning (docs/adr/0006)
        self.space = Space(cut("uniform", ranking, self.curves, limits, scale=prune.floor), limits)
        self.by_power = [self.space.project(by_curves(self.curves, limits, power)) for power in POWERS]
        self.starts = [*self.by_power, *(self.space.project(counts) for counts in (self.pre_pruned, self.uniform))]
        weights = Weights(problem.model, problem.coupling, ranking, statistics, calibration, mend.reconstruction)
        self.scorer = Scorer(weights, validation, judges)

    def fingerprint(self) -> str:
        """Digest of weights, data, ranking, floor, budget and scoring: equal if the scores of two searches compare."""
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
