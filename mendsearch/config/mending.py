"""The search over restorations, and what its score is made of."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from mendsearch.config.base import NAME, SpecPart, import_path

MOST_TRIALS = 1_000_000


SamplerName = Literal["mending", "tpe", "random"]
DivergenceName = Literal["kl", "bernoulli", "squared", "cosine", "detections", "none"]
ReconstructionName = Literal["sequence", "channels", "none"]


class MendSpec(SpecPart):
    """Mending, the search over restorations."""

    trials: int = Field(
        default=100, ge=1, le=MOST_TRIALS, description="Number of trials that end with a score, up to a million."
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Seconds after which no further trial is begun, from the first one on and with all pauses, by the "
        "database's clock. The starting structures are scored all the same. Default: no limit.",
    )
    warm_start: Annotated[str, Field(pattern=NAME)] | None = Field(
        default=None,
        description="Name of a search of the same network in the same database, such as one of another budget: the "
        "best structures that it has so far are cut to this budget, and scored first.",
    )
    sampler: SamplerName = Field(
        default="mending",
        description="How restorations are proposed: by mendsearch's own sampler, or by one of Optuna's.",
    )
    score: str = Field(
        default="agreement",
        description="`agreement` with the dense network's outputs, which needs no labels, `loss` on the labels, or a "
        "metric of your own: an import path `package.module:function` of a function that is given the network and a "
        "batch, and returns one value per item, higher is better (docs/outputs.md).",
    )
    early_stopping: bool = Field(
        default=True, description="Stop scoring a candidate once it is clearly worse than the incumbent."
    )
    reconstruction: ReconstructionName = Field(
        default="sequence",
        description="How the remaining weights are compensated before a candidate is scored: `sequence` fits layer "
        "after layer to the dense network's outputs, `channels` folds removed inputs into the kept ones, `none` only "
        "recalibrates batch norms.",
    )

    @field_validator("score")
    @classmethod
    def _known_score(cls, value: str) -> str:
        if value not in ("agreement", "loss") and ":" not in value:
            raise ValueError("expected agreement, loss or package.module:function")
        return value if ":" not in value else import_path(value)


class OutputSpec(SpecPart):
    """How one output of the network is compared."""

    reason: ClassVar[str] = "as asked"
    divergence: DivergenceName = Field(description="How its values are compared.")
    weight: float = Field(default=1.0, gt=0, description="Weight of its divergence in the score.")
    axis: int | None = Field(default=None, description="Axis of classes or features, if it is not the one guessed.")
    probabilities: bool | None = Field(
        default=None, description="Whether `kl` and `bernoulli` are given probabilities; guessed from the values."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"divergence": value} if isinstance(value, str) else value


class ScoreSpec(SpecPart):
    """What the agreement with the dense network is made of."""

    outputs: dict[str, OutputSpec] = Field(
        default_factory=dict,
        description="By output of the network, as `mendsearch inspect` prints them, its divergence: `kl`, `bernoulli`, "
        "`squared`, `cosine`, `detections` or `none`, or a table `{ divergence, weight, axis, probabilities }`. "
        "Outputs that are not named are guessed (docs/outputs.md).",
    )
