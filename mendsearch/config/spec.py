"""All tables of a spec."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mendsearch.config.base import NAME, SpecPart
from mendsearch.config.budget import Budget
from mendsearch.config.fleet import FleetSpec
from mendsearch.config.inputs import DataSpec, ModelSpec
from mendsearch.config.mending import MendSpec, ScoreSpec
from mendsearch.config.pruning import PruneSpec, RankSpec
from mendsearch.config.training import FinetuneSpec, TrainSpec


class Spec(SpecPart):
    """A spec file."""

    name: Annotated[str, Field(pattern=NAME)] = Field(
        description="Name of the search and of its study: letters, digits, `.`, `_`, `-`."
    )
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="Seed of splits, initial weights, shuffling and sampling."
    )
    model: ModelSpec
    data: DataSpec
    train: TrainSpec = TrainSpec()
    rank: RankSpec = RankSpec()
    prune: PruneSpec = PruneSpec()
    budget: Budget
    mend: MendSpec = MendSpec()
    score: ScoreSpec = ScoreSpec()
    finetune: FinetuneSpec = FinetuneSpec()
    fleet: FleetSpec = FleetSpec()
