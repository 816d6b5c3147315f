"""Finalists judged in this process: by their scores, or after the caller's fine-tuning."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mendsearch.errors import FinetuneError, UsageError
from mendsearch.mending.finetuning import Finetune, finetuned_by
from mendsearch.mending.ladder import RUNGS, Standing, climb, fine_tunings, kept, part_of
from mendsearch.mending.measuring import Measure
from mendsearch.mending.search import Search
from mendsearch.progress import Reporter
from mendsearch.study.finalists import Finalist, first_names


@dataclass(frozen=True, eq=False)
class Judged:
    """Finalists, as they are kept.

    Attributes:
        figure: what they are judged by.
        order: names of those that are different structures, the best one first; without fine-tuning, of all.
        models: networks of those that are kept fine-tuned.
        items: by finalist, before fine-tuning and at each rung that it reached, (N,) figures of the validation items.
        rungs: by finalist, how many rungs it has behind it.
    """

    figure: str
    order: list[str]
    models: dict[str, nn.Module]
    items: dict[str, list[Tensor]]
    rungs: dict[str, int]

    @property
    def best(self) -> str:
        """Name of the best one, whatever time it takes."""
        return self.order[0]

    def value(self, name: str) -> float:
        """Figure of a finalist on the validation items."""
        return float(self.items[name][self.rungs[name]].mean())


def by_score(finalists: Mapping[str, Finalist]) -> Judged:
    """Finalists without fine-tuning."""
    order = sorted(finalists, key=lambda name: -finalists[name].score)
    items = {name: [-finalist.losses] for name, finalist in finalists.items()}
    return Judged("score", order, {}, items, dict.fromkeys(finalists, 0))


def by_finetuning(
    search: Search,
    finalists: Mapping[str, Finalist],
    finetune: Finetune,
    measure: Measure,
    seed: int,
    reporter: Reporter,
) -> Judged:
    """Finalists that the caller's fine-tuning has brought up the last rungs.

    Args:
        search: the search.
        finalists: by name.
        finetune: the fine-tuning.
        measure: what judges fine-tuned networks.
        seed: seed of the first rung.
        reporter: where progress goes.

    Raises:
        FinetuneError: the fine-tuning failed.
    """
    models: dict[str, nn.Module] = {}
    judged: dict[str, list[Tensor]] = {}
    before: dict[str, Standing] = {}
    first = first_names({name: finalist.counts for name, finalist in finalists.items()})
    names = list(dict.fromkeys(first.values()))
    with reporter.stage("fine-tune", fine_tunings(len(names))) as stage:

        def judge(name: str, rung: int) -> Standing:
            model = models[name] if rung else search.scorer.build(finalists[name].counts)
            if not rung:
                before[name], items = measure.judged(model)
                judged[name] = [items]
            models[name] = _finetuned(finetune, model, part_of(rung), seed + rung)
            standing, items = measure.judged(models[name])
            judged[name].append(items)
            stage.advance(f"{name}: {standing.value:.4f} on validation after {RUNGS[rung]:.0%}")
            return standing

        stands = {name: kept(before[name], reached) for name, reached in climb(names, judge).items()}
    return Judged(
        figure=measure.metric or "accuracy",
        order=sorted(stands, key=lambda name: stands[name], reverse=True),
        models={name: model for name, model in models.items() if stands[name].rungs},
        items={name: judged[first[name]] for name in finalists},
        rungs={name: stands[first[name]].rungs for name in finalists},
    )


def _finetuned(finetune: Finetune, model: nn.Module, part: float, seed: int) -> nn.Module:
    try:
        return finetuned_by(finetune, model, part, seed, name="finetune")
    except UsageError as error:
        raise FinetuneError(str(error)) from error
    except Exception as error:  # whatever it is, the search is not lost
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise FinetuneError(f"finetune: {reason} ({Path(frame.filename).name}, line {frame.lineno})") from error
