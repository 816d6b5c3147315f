"""The filter ranking, and pre-pruning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mendsearch.config.base import SpecPart

CriterionName = Literal["gram", "l1", "l2", "bn_scale", "taylor", "fpgm", "random"]
RuleName = Literal["curves", "uniform", "global"]


class RankSpec(SpecPart):
    """The filter ranking."""

    criterion: CriterionName = Field(
        default="gram",
        description="`gram` (greedy, by the consumers' output error), `l1`, `l2`, `bn_scale`, `taylor`, `fpgm` or "
        "`random`.",
    )


class PruneSpec(SpecPart):
    """Pre-pruning, and constraints on every candidate."""

    rule: RuleName = Field(
        default="curves",
        description="`curves` cuts where the output error of the consumers grows least per cost saved, `uniform` keeps "
        "the same fraction of every coupling group, `global` applies one threshold to all scores.",
    )
    floor: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="Cost of the floor, from which mending starts, as a fraction of the budget. `uniform` cuts it.",
    )
    multiple: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=1,
        description="Keep counts are multiples of this, in coupling groups whose dense width is a multiple of it. Many "
        "devices are faster at multiples of 8. `auto` takes the step that `budget.profile` found.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Layers that keep all their output channels: names as `mendsearch inspect` prints them, or "
        "patterns such as `layer1.*`.",
    )
