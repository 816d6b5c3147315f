"""The spec of a run: frozen pydantic models that refuse unknown keys.

`python docs/make_spec.py` writes `docs/spec.md` from these models; a test checks that the page is up to date.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from mendsearch.errors import SpecError

LOSS = (
    "Import path `package.module:function` of a loss of your own: it is given the network's outputs and the targets of "
    "a batch, and returns a scalar. By default cross-entropy where the network has one output with classes, the "
    "squared error where it has one output of another kind."
)


def _import_path(value: str) -> str:
    module, colon, function = value.partition(":")
    if not (module and colon and function) or module == "torchvision":
        raise ValueError("expected package.module:function")
    return value


ImportPath = Annotated[str, AfterValidator(_import_path)]


NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Names of searches."""
MOST_TRIALS = 1_000_000


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _InOneLine
else:

    class _InOneLine(type(BaseModel)):
        """Says what is wrong in a call of a class in one line, as it is said of a spec file."""

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                raise SpecError(f"{cls.__name__}: {describe(error, 'argument')}") from None


class SpecPart(BaseModel, metaclass=_InOneLine):
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
    """Inputs and labels."""

    name: str = Field(
        description="`digits`, `fashion-mnist`, `cifar10`, `folder`, or an import path `package.module:factory`."
    )
    path: Path | None = Field(default=None, description="Folder of the data, for sources that read one.")
    kwargs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Keyword arguments of the factory, if `name` is an import path."
    )
    batch: str | None = Field(
        default=None,
        description="Import path `package.module:function` of a function that turns a batch of the data set into the "
        "network's inputs and the labels; see docs/inputs.md.",
    )
    validation: int = Field(
        default=2000,
        ge=1,
        description="Items held out of training to score trials; at most a quarter of the training items.",
    )
    calibration: int = Field(
        default=1024,
        ge=2,
        description="Training items for ranking, reconstruction and BN recalibration; their labels are not used.",
    )


class TrainSpec(SpecPart):
    """Training of the dense network."""

    epochs: int = Field(default=30, ge=0, description="Passes over the training items.")
    batch_size: int = Field(default=128, ge=2, description="Items per step.")
    learning_rate: float = Field(default=0.1, gt=0, description="Peak of the one-cycle schedule; the optimizer is SGD.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum.")
    weight_decay: float = Field(default=5e-4, ge=0, description="L2 penalty.")
    loss: ImportPath | None = Field(default=None, description=LOSS)


class FinetuneSpec(SpecPart):
    """Fine-tuning; the same for every pruned network of the result."""

    epochs: int = Field(default=5, ge=0, description="Passes over the training items.")
    batch_size: int = Field(default=128, ge=2, description="Items per step.")
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        description="Peak of the one-cycle schedule; lower than for training, since the weights are already good.",
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum.")
    weight_decay: float = Field(default=5e-4, ge=0, description="L2 penalty.")
    images: int | None = Field(default=None, ge=1, description="Training items per pass; all of them by default.")
    distillation: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of the dense network's outputs in the loss, against the labels; 0 for labels alone, 1 for "
        "the outputs alone.",
    )
    loss: ImportPath | None = Field(default=None, description=LOSS)
    finalists: int = Field(
        default=3,
        ge=1,
        description="Structures of the search that are fine-tuned beside the controls. All of them get a quarter of "
        "the fine-tuning, the better half another quarter, and the better half of those the whole.",
    )
    function: ImportPath | None = Field(
        default=None,
        description="Your own fine-tuning in place of the built-in one: an import path `package.module:function` of "
        "`(model, part, seed) -> model`, called with the fraction of the whole fine-tuning that is wanted. With "
        "`epochs = 0` it is not called.",
    )


CriterionName = Literal["gram", "l1", "l2", "bn_scale", "taylor", "fpgm", "random"]
RuleName = Literal["curves", "uniform", "global"]
SamplerName = Literal["mending", "tpe", "random"]
DivergenceName = Literal["kl", "bernoulli", "squared", "cosine", "detections", "none"]
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


Limit = Annotated[float, Field(gt=0)]


Percentage = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?%$")]
FRACTIONS = ("macs", "params", "size_bytes", "activation_bytes")
"""Costs of which a number up to 1 is a fraction of the dense network's. Milliseconds are never: 0.8 is 0.8 ms."""


class Budget(SpecPart):
    """Limits on the pruned network: up to 1 fractions of the dense network, above 1 absolute. All must hold."""

    macs: Limit | None = Field(default=None, description="Multiply-accumulates of one item.")
    params: Limit | None = Field(default=None, description="Parameters.")
    size_bytes: Limit | None = Field(default=None, description="Bytes of the parameters, in the network's dtype.")
    activation_bytes: Limit | None = Field(
        default=None,
        description="Bytes of the inputs and outputs of one layer, where they are largest, for one item.",
    )
    latency_ms: Limit | Percentage | None = Field(
        default=None,
        description="Milliseconds of a pass as `budget.profile` was measured, any number; or a text such as `50%`, of "
        "the dense network's.",
    )
    profile: Path | dict[str, JsonValue] | None = Field(
        default=None,
        description="Latency profile that `mendsearch profile` wrote: its file, or what it holds.",
    )

    @field_validator("profile", mode="before")
    @classmethod
    def _as_table(cls, value: object) -> object:
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    @field_validator("latency_ms")
    @classmethod
    def _above_zero(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, str) and not 0 < float(value.removesuffix("%")) <= 100:
            raise ValueError("expected milliseconds, or more than 0% and at most 100%")
        return value

    @model_validator(mode="after")
    def _needs_a_limit(self) -> Budget:
        if not self.limits():
            raise ValueError("a budget needs `macs`, `params`, `latency_ms`, `size_bytes` or `activation_bytes`")
        if self.latency_ms is not None and self.profile is None:
            raise ValueError("`latency_ms` needs `profile`; make one with `mendsearch profile`")
        return self

    def limits(self) -> dict[str, float]:
        """The limits that were given, by name; a percentage as a fraction."""
        given = {name: getattr(self, name) for name in (*FRACTIONS, "latency_ms")}
        return {
            name: float(value.removesuffix("%")) / 100 if isinstance(value, str) else value
            for name, value in given.items()
            if value is not None
        }

    def absolute(self, dense: Mapping[str, float]) -> dict[str, float]:
        """The limits in absolute numbers, by name.

        Args:
            dense: costs of the dense network, by name.
        """
        relative = {name for name, value in self.limits().items() if name in FRACTIONS and value <= 1}
        relative |= {"latency_ms"} if isinstance(self.latency_ms, str) else set()
        return {name: value * dense[name] if name in relative else value for name, value in self.limits().items()}


class FleetSpec(SpecPart):
    """Workers, and how they deal with their database."""

    lease_s: float = Field(
        default=60, ge=1, description="Seconds without a heartbeat before a worker is considered dead."
    )
    outage_s: float = Field(default=600, ge=0, description="Seconds to wait for a database that cannot be reached.")
    trial_limit_s: float = Field(
        default=3600, gt=0, description="Seconds that one candidate may take; a worker that takes longer is ended."
    )
    pass_limit_s: float = Field(
        default=86400,
        gt=0,
        description="Seconds that one pass of a fine-tuning may take, or one call of `finetune.function`; a worker "
        "that takes longer is ended.",
    )
    checkpoint_s: float = Field(
        default=30,
        ge=0,
        description="Seconds between two checkpoints of a fine-tuning, from which another worker goes on. They are "
        "kept in the database after a pass, so passes that take longer are kept one by one.",
    )


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
        return value if ":" not in value else _import_path(value)


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
    return parse_spec(overridden(table, overrides), origin=str(path))


def overridden(table: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """The table of a spec, changed by `key=value` pairs.

    Raises:
        SpecError: one of them is no such pair, or its key leads into a value.
    """
    for override in overrides:
        _apply(table, override)
    return table


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


def describe(error: ValidationError, part: str = "key") -> str:
    """One line for the first error of a pydantic model, whose fields are keys of a spec or arguments of a call."""
    first, count = error.errors()[0], error.error_count()
    key = ".".join(str(part) for part in first["loc"])
    rest = f" (and {count - 1} more)" if count > 1 else ""
    if first["type"] == "extra_forbidden":
        known = "docs/spec.md lists the keys" if part == "key" else "docs/spec.md lists them as keys"
        return f"unknown {part} `{key}`; {known}{rest}"
    if first["type"] == "missing":
        return f"{part} `{key}` is missing{rest}"
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
