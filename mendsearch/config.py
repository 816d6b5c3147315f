"""The spec of a run: frozen pydantic models that refuse unknown keys.

`python docs/make_spec.py` writes `docs/spec.md` from these models; a test checks that the page is up to date.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mendsearch.errors import SpecError


class SpecPart(BaseModel):
    """A table of the spec file. It is frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSpec(SpecPart):
    """The dense network."""

    name: str = Field(
        description="`digits-resnet`, `cifar-resnet`, `torchvision:NAME`, or an import path `package.module:factory`; "
        "the working directory is searched too."
    )
    kwargs: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Keyword arguments of the factory; `digits-resnet` and `cifar-resnet` take `depth` (6n + 2) and "
        "`width` (channels of the first stage).",
    )
    checkpoint: Path | None = Field(
        default=None,
        description="Weights of the trained network: `.safetensors`, or a `.pt` that `weights_only=True` can read. "
        "Without it, the network is trained from scratch.",
    )


class DataSpec(SpecPart):
    """Images and labels."""

    name: str = Field(
        description="`digits`, `fashion-mnist`, `cifar10`, `folder`, or an import path `package.module:factory`."
    )
    path: Path | None = Field(default=None, description="Folder of the data, for sources that read one.")
    kwargs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Keyword arguments of the factory, if `name` is an import path."
    )
    validation: int = Field(
        default=2000,
        ge=1,
        description="Images held out of training to score trials; at most a quarter of the training images.",
    )
    calibration: int = Field(
        default=1024,
        ge=2,
        description="Training images for ranking, reconstruction and BN recalibration; their labels are not used.",
    )


class TrainSpec(SpecPart):
    """Training of the dense network."""

    epochs: int = Field(default=30, ge=0, description="Passes over the training images.")
    batch_size: int = Field(default=128, ge=2, description="Images per step.")
    learning_rate: float = Field(default=0.1, gt=0, description="Peak of the one-cycle schedule; the optimizer is SGD.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum.")
    weight_decay: float = Field(default=5e-4, ge=0, description="L2 penalty.")


class FinetuneSpec(SpecPart):
    """Fine-tuning; the same for every pruned network of the result."""

    epochs: int = Field(default=5, ge=0, description="Passes over the training images.")
    batch_size: int = Field(default=128, ge=2, description="Images per step.")
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        description="Peak of the one-cycle schedule; lower than for training, since the weights are already good.",
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum.")
    weight_decay: float = Field(default=5e-4, ge=0, description="L2 penalty.")
    images: int | None = Field(default=None, ge=1, description="Training images per pass; all of them by default.")
    distillation: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of the dense network's outputs in the loss, against the labels; 0 for labels alone.",
    )
    finalists: int = Field(
        default=3,
        ge=1,
        description="Structures of the search that are fine-tuned beside the controls. All of them get a quarter of "
        "the fine-tuning, the better half another quarter, and the better half of those the whole.",
    )
    function: str | None = Field(
        default=None,
        description="Your own fine-tuning in place of the built-in one: an import path `package.module:function` of "
        "`(model, part, seed) -> model`, called with the fraction of the whole fine-tuning that is wanted.",
    )


CriterionName = Literal["gram", "l1", "l2", "bn_scale", "taylor", "fpgm", "random"]
RuleName = Literal["curves", "uniform", "global"]
SamplerName = Literal["mending", "tpe", "random"]
ScoreName = Literal["agreement", "loss"]
ReconstructionName = Literal["sequence", "channels", "none"]


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
    multiple: int = Field(
        default=1,
        ge=1,
        description="Keep counts are multiples of this, in coupling groups whose dense width is a multiple of it. Many "
        "devices are faster at multiples of 8.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Layers that keep all their output channels: names as `mendsearch inspect` prints them, or "
        "patterns such as `layer1.*`.",
    )


Limit = Annotated[float, Field(gt=0)]


class Budget(SpecPart):
    """Limits on the pruned network: up to 1 fractions of the dense network, above 1 absolute. All must hold."""

    macs: Limit | None = Field(default=None, description="Multiply-accumulates of one image.")
    params: Limit | None = Field(default=None, description="Parameters.")

    @model_validator(mode="after")
    def _needs_a_limit(self) -> Budget:
        if not self.limits():
            raise ValueError("a budget needs `macs`, `params` or both")
        return self

    def limits(self) -> dict[str, float]:
        """The limits that were given, by name."""
        return {name: value for name, value in (("macs", self.macs), ("params", self.params)) if value is not None}


class FleetSpec(SpecPart):
    """Workers, and how they deal with their database."""

    lease_s: float = Field(
        default=60, ge=1, description="Seconds without a heartbeat before a worker is considered dead."
    )
    outage_s: float = Field(default=600, ge=0, description="Seconds to wait for a database that cannot be reached.")
    trial_limit_s: float = Field(
        default=3600, gt=0, description="Seconds that one candidate may take; a worker that takes longer is ended."
    )


class MendSpec(SpecPart):
    """Mending, the search over restorations."""

    trials: int = Field(default=100, ge=1, description="Number of trials that end with a score.")
    sampler: SamplerName = Field(
        default="mending",
        description="How restorations are proposed: by mendsearch's own sampler, or by one of Optuna's.",
    )
    score: ScoreName = Field(
        default="agreement",
        description="`agreement` with the dense network's outputs, which needs no labels, or `loss` on the labels.",
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


class Spec(SpecPart):
    """A spec file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = Field(
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
    finetune: FinetuneSpec = FinetuneSpec()
    fleet: FleetSpec = FleetSpec()


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> Spec:
    """Read a spec file.

    Args:
        path: a TOML file.
        overrides: `key=value` pairs with dots in the key, the value in TOML or a bare string; they override the file.

    Raises:
        SpecError: the file is missing, is not TOML, or holds an unknown key or a wrong value.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"spec {path} cannot be read: {getattr(error, 'strerror', None) or error}; give the path of a TOML file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"spec {path} is not TOML: {error}") from error
    for override in overrides:
        _apply(table, override)
    return parse_spec(table, origin=str(path))


def parse_spec(table: dict[str, Any], origin: str) -> Spec:
    """Make a `Spec` from a table.

    Args:
        table: the parsed file.
        origin: where it comes from, for the message.

    Raises:
        SpecError: one line that names the first wrong key, what it got, and what is expected.
    """
    try:
        return Spec.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"spec {origin}: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """One line for the first error of a pydantic model."""
    first, count = error.errors()[0], error.error_count()
    key = ".".join(str(part) for part in first["loc"])
    rest = f" (and {count - 1} more)" if count > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key `{key}`; docs/spec.md lists the keys{rest}"
    if first["type"] == "missing":
        return f"key `{key}` is missing{rest}"
    given = "" if isinstance(first["input"], dict) else f"got {first['input']!r}, "
    return f"{key or 'budget'}: {given}{first['msg'].removeprefix('Value error, ')}{rest}"


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {override}: expected key=value, such as mend.trials=200")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise SpecError(f"--set {override}: `{parent}` is a value, not a table")
    table[last] = value
