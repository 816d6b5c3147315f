"""A search put together: the problem (network, coupling groups, budget), and the parts that solve it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.budget import Limits, build_cost_model, read_profiles
from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.coupling.copying import bytes_of, unwrapped
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.layout import Coupling
from mendsearch.errors import BudgetError, CouplingError, DataError, ModelError, SpecError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.judges import Metric
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.space import Space
from mendsearch.mending.weights import Weights
from mendsearch.modes import evaluating, to_network
from mendsearch.outputs import Wishes, comparison_of, leaves_of
from mendsearch.outputs.choosing import ignored
from mendsearch.prepruning import by_curves, cut, error_curves, pre_prune
from mendsearch.prepruning.rules import POWER
from mendsearch.progress import Reporter
from mendsearch.ranking import CRITERIA, FilterRanking, RankingInputs, sensitivity
from mendsearch.ranking.sensitivity import with_sensitivity
from mendsearch.ranking.statistics import InputStatistics, input_statistics
from mendsearch.reconstruction.targets import affordable

POWERS = (1.0, 1.5, 2.0)
"""Exponents of the error curves; each gives one structure to start from."""
BATCH = 128
"""Items per forward pass, at most."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its coupling groups, and the budget.

    Attributes:
        model: the dense network; the search never changes it.
        coupling: coupling groups of the network.
        limits: the budget in absolute numbers, with the cost model.
        outputs: what the user says of the network's outputs.
    """

    model: nn.Module
    coupling: Coupling
    limits: Limits
    outputs: Wishes = field(default_factory=dict)


def build_problem(
    model: nn.Module, inputs: BatchLike, budget: Budget, prune: PruneSpec | None = None, outputs: Wishes | None = None
) -> Problem:
    """Find the coupling groups, and check the budget.

    Args:
        model: the dense network, in evaluation mode; not changed. `DataParallel` and `torch.compile` are taken off.
        inputs: of the network; two items are enough.
        budget: limits on the pruned network.
        prune: multiple of the keep counts, and layers to exclude.
        outputs: what the user says of the network's outputs.

    Raises:
        DataError: the network does not accept the inputs.
        ModelError: its outputs hold no tensor or are not finite, or it is no network that can be pruned.
        CouplingError: nothing is prunable.
        BudgetError: the budget cannot be met, or is already met.
    """
    prune = prune or PruneSpec()
    model = unwrapped(model)
    coupling = find_coupling(model, inputs, prune.exclude)
    limits = limits_of(model, coupling, budget, prune)
    with evaluating(model), torch.no_grad():
        given = to_network(Batch.of(inputs)[:2], model).call(model)
    _check_outputs(given, {} if outputs is None else outputs)
    return Problem(model, coupling, limits, outputs or {})


def limits_of(model: nn.Module, coupling: Coupling, budget: Budget, prune: PruneSpec) -> Limits:
    """The budget of a network whose coupling groups are known; raises what `build_problem` does of both."""
    if not coupling.groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(coupling.whole.items())[:3])
        raise CouplingError(f"nothing in the network is prunable ({reasons or 'it has no layer with channels'})")
    profiles = read_profiles(budget)
    if prune.multiple == "auto" and not profiles:
        raise BudgetError('prune.multiple "auto" takes the step of a latency profile; give budget.profile, or a number')
    steps = [profile.model.step for profile in profiles.values()]
    multiple = math.lcm(*steps) if prune.multiple == "auto" else prune.multiple
    return Limits(budget, build_cost_model(model, coupling, profiles), multiple)


def rank_channels(
    problem: Problem,
    inputs: BatchLike,
    criterion: str,
    seed: int,
    reporter: Reporter,
    groups: Tensor | None = None,
) -> tuple[FilterRanking, dict[str, InputStatistics]]:
    """Collect the input statistics in one pass over the calibration images, and rank the channels by them.

    Where the outputs have a gradient, the statistics say what the network feels of each consumer's inputs.

    Args:
        problem: network and coupling groups.
        inputs: of the calibration items.
        criterion: name of the criterion.
        seed: seed of criteria that are random.
        reporter: where progress goes.
        groups: (N,) int64, which items belong together; None where each is on its own.
    """
    inputs = Batch.of(inputs)
    model, coupling = problem.model, problem.coupling
    batch, backward = min(BATCH, affordable(model, inputs)), sensitivity.affordable(model, inputs)
    sample = sensitivity.sample(inputs)
    passes = -(-len(inputs) // batch) - (-len(sample) // backward)
    with reporter.stage("rank", passes + len(coupling.groups)) as stage:
        statistics = input_statistics(model, coupling, inputs, batch, stage.advance, groups)
        try:
            comparison = comparison_of(model, inputs, problem.outputs)
            statistics = with_sensitivity(model, coupling, statistics, sample, comparison, backward, stage.advance)
        except ModelError as error:
            reporter.say(f"error curves are relative to each layer's outputs: {error}")
        known = RankingInputs(model, coupling, statistics, inputs, seed, problem.outputs)
        return CRITERIA[criterion].rank(known, stage.advance), statistics


def _check_outputs(given: object, outputs: Wishes) -> None:
    leaves = leaves_of(given)
    if not leaves:
        raise ModelError(
            f"the network gives {type(given).__name__}, expected a tensor, or tensors in lists, dicts or dataclasses; "
            f"wrap it in a module that returns them"
        )
    for name, leaf in leaves.items():
        if isinstance(leaf, Tensor) and not torch.isfinite(leaf).all() and not ignored(name, outputs):
            of = "" if len(leaves) == 1 else f" (`{name}`)"
            raise ModelError(
                f"the network's outputs are not finite{of}; check its weights and the calibration images, or set it to "
                f"`none` in [score.outputs]"
            )


class Search:
    """The parts of one search: scorer, search space, and the structures that need no search.

    Args:
        problem: network, coupling groups and budget.
        ranking: filter ranking.
        statistics: input statistics, by name of the consumer.
        calibration: inputs of the calibration items.
        validation: inputs of the validation items.
        labels: labels of the validation items with a first axis of N, or None; not used if `mend.score` is
            `agreement`.
        prune: pre-pruning rule and floor.
        mend: score and reconstruction.
        metric: the user's own metric; by default the one that `mend.score` is the import path of, if it is one.
        groups: (N,) int64, which calibration items belong together; None where each is on its own.

    Raises:
        DataError: the score needs labels, and none were given.
        ModelError: the outputs cannot be compared.
        SpecError: the metric cannot be imported.

    Attributes:
        data: calibration items, validation items, and the labels if they are used.
        curves: all kinds of error curves, the best known first; which kind is the better guide differs from network to
            network where most channels go.
        by_curves: structures of the error curves, one for each exponent, and one of any further kind.
        starts: structures that the first trials score: those of the error curves, then the controls.
        uniform: (G,) int64, the control that the rule `uniform` gives at the budget.
        pre_pruned: (G,) int64, the control that the rule of `prune` gives at the budget, above the floor.
    """

    def __init__(
        self,
        problem: Problem,
        ranking: FilterRanking,
        statistics: Mapping[str, InputStatistics],
        *,
        calibration: BatchLike,
        validation: BatchLike,
        labels: Tensor | None,
        prune: PruneSpec,
        mend: MendSpec,
        metric: Metric | None = None,
        groups: Tensor | None = None,
    ) -> None:
        self.problem, self.ranking, self.statistics = problem, ranking, statistics
        if mend.score == "loss" and labels is None:
            raise DataError('score "loss" needs labels for the validation items; pass them, or use "agreement"')
        if metric is None and is_import_path(mend.score):
            metric = import_factory(mend.score, SpecError)
        judges = labels if mend.score != "agreement" else None
        calibration, validation = Batch.of(calibration), Batch.of(validation)
        self.data = (calibration, validation, judges)
        limits = problem.limits
        self.curves = error_curves(problem.model, problem.coupling, ranking, statistics)
        first, *further = self.curves
        self.uniform = pre_prune("uniform", ranking, first, limits)
        # uniform whatever the rule: starved coupling groups would cost accuracy after fine-tuning (docs/adr/0006)
        self.space = Space(cut("uniform", ranking, first, limits, scale=prune.floor), limits)
        self.pre_pruned = self.space.project(pre_prune(prune.rule, ranking, first, limits))
        shapes = [(first, power) for power in POWERS] + [(kind, POWER) for kind in further]
        self.by_curves = [self.space.project(by_curves(curves, limits, power)) for curves, power in shapes]
        self.starts = [*self.by_curves, self.pre_pruned, self.space.project(self.uniform)]
        self._groups = groups
        weights = Weights(
            problem.model, problem.coupling, ranking, statistics, calibration, mend.reconstruction, groups
        )
        self.scorer = Scorer(
            weights, validation, judges, outputs=problem.outputs, metric=metric, metric_name=mend.score
        )

    def fingerprint(self) -> str:
        """Digest of weights, data, ranking, floor, budget and scoring: equal if the scores of two searches compare."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.scorer.weights.slicer.dense.items()):
            digest.update(name.encode())
            digest.update(bytes_of(tensor))
        calibration, validation, judges = self.data
        for batch in (calibration, validation):
            digest.update(repr(batch).encode())
            for tensor in batch.tensors:
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(bytes_of(tensor))
        for part in (judges, self._groups):
            digest.update(b"" if part is None else bytes_of(part))
        for order in self.ranking.orders:
            digest.update(order.tobytes())
        digest.update(self.space.floor.tobytes())
        digest.update(self.problem.limits.steps.tobytes())
        digest.update(repr(sorted(self.problem.limits.absolute.items())).encode())
        for _, latency in sorted(self.problem.limits.costs.latencies.items()):
            digest.update(latency.coefficients.tobytes())
            digest.update(b"" if latency.cache is None else repr(latency.cache).encode())
        digest.update(repr(self.scorer.version).encode())
        return digest.hexdigest()
