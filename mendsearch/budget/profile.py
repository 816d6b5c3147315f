"""The latency profile: what a device did with candidates of one network, and the model that says the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mendsearch.budget.features import Features, Geometry
from mendsearch.budget.latency import Cache, LatencyModel
from mendsearch.config import Budget
from mendsearch.coupling.layout import Coupling
from mendsearch.errors import BudgetError, UsageError
from mendsearch.files import read_json


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Setting(_Part):
    """What times depend on, beside the network."""

    runtime: str = Field(description="`torch`, `compile`, `onnxruntime`, or `onnxruntime:PROVIDER`.")
    device: str = Field(description="Name of the CPU or GPU.")
    batch: int = Field(ge=1, description="Items of a pass.")
    threads: int = Field(ge=1, description="Threads of a pass on a CPU.")
    dtype: str = Field(description="Dtype of weights and inputs.")
    versions: dict[str, str] = Field(default_factory=dict, description="Of the packages that times depend on.")

    def differing(self, other: Setting) -> str | None:
        """The first thing in which another setting differs, in words; versions may differ."""
        for name in ("runtime", "device", "batch", "threads", "dtype"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} {mine!r}, not {theirs!r}"
        return None


class Measured(_Part):
    """One candidate that was measured."""

    counts: tuple[int, ...] = Field(description="Channels that stay, by coupling group in network order.")
    ms: float = Field(gt=0, description="Milliseconds of a pass.")
    held_out: bool = Field(False, description="Whether the model was judged by it, and not fitted to it at first.")


class Fitted(_Part):
    """The model."""

    step: int = Field(ge=1, description="Number of channels that the device was found to compute together.")
    coefficients: tuple[float, ...] = Field(description="Milliseconds a call, then by feature of each operation.")
    cache: float | None = Field(
        None, gt=0, description="Values of weights that a cache was found to keep from pass to pass; none if null."
    )
    missed: float = Field(0.0, ge=0, description="Milliseconds for each value of weights that it does not keep.")
    error: float = Field(ge=0, description="Mean relative error on candidates that it had not seen.")
    tau: float = Field(ge=-1, le=1, description="Kendall's tau on them.")
    held_out: int = Field(ge=0, description="Number of these candidates.")
    correction: float = Field(1.0, gt=0, description="Factor by which all its times were corrected by later ones.")


class LatencyProfile(_Part):
    """Times of candidates of one network in one setting, and the model fitted to them."""

    format: Literal[1] = 1
    network: str = Field(description="Digest of coupling groups, operations and shapes.")
    setting: Setting
    dense_ms: float = Field(gt=0, description="Milliseconds of a pass of the dense network.")
    noise: float = Field(ge=0, description="Typical distance of two measurements of the dense network, as a fraction.")
    seconds: float = Field(ge=0, description="Time that the measurements took.")
    model: Fitted
    measured: tuple[Measured, ...] = ()

    @property
    def digest(self) -> str:
        """Of all that decides a modelled time."""
        said = self.model_dump_json(exclude={"measured", "seconds"})
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def short(self) -> LatencyProfile:
        """The same without the candidates, as it travels with a search."""
        return self.model_copy(update={"measured": ()})

    def latency_model(self, features: Features) -> LatencyModel:
        """The model, for the features of the network."""
        model, factor = self.model, self.model.correction
        cache = None if model.cache is None else Cache(model.cache, factor * model.missed)
        coefficients = [factor * value for value in model.coefficients]
        return LatencyModel(features, model.step, coefficients, self.dense_ms, cache)


def network_digest(coupling: Coupling, shapes: Mapping[str, tuple[int, ...]], geometry: Mapping[str, Geometry]) -> str:
    """Digest of what a latency model depends on: equal for two networks whose candidates take the same time."""
    digest = hashlib.sha256()
    for group in coupling.groups:
        digest.update(f"{group.name} {group.width}\n".encode())
    for operation in coupling.operations:
        digest.update(f"{operation.layer} {operation.macs:.6g} {len(operation.layouts)}\n".encode())
    digest.update(repr(sorted(shapes.items())).encode())
    digest.update(repr(sorted((name, form.stride, form.conv_groups) for name, form in geometry.items())).encode())
    return digest.hexdigest()[:16]


def key_of(name: str) -> str:
    """The key of the spec that holds the profile of a limit in time, by the name of the limit."""
    device = name.partition(".")[2]
    return f"budget.device {device}: profile" if device else "budget.profile"


def read_profiles(budget: Budget) -> dict[str, LatencyProfile]:
    """The profiles of a budget, by the names of its limits in time; raises as `read_profile`."""
    return {name: read_profile(limit.profile, key_of(name)) for name, limit in budget.latencies.items()}


def read_profile(given: Path | Mapping[str, Any] | LatencyProfile, key: str = "budget.profile") -> LatencyProfile:
    """A profile from its file, or from what a file holds.

    Args:
        given: the file, or what it holds.
        key: of the spec, for errors.

    Raises:
        BudgetError: there is no such file, or it is no profile.
    """
    if isinstance(given, LatencyProfile):
        return given
    where = str(given) if isinstance(given, Path) else "what was given"
    try:
        value = read_json(given) if isinstance(given, Path) else given
    except UsageError:  # not JSON, or not text
        value = {}
    if value is None:
        raise BudgetError(f"{key}: {where} cannot be read; make it with `mendsearch profile SPEC --out FILE`")
    try:
        return LatencyProfile.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise BudgetError(
            f"{key}: {where} is no latency profile: {field}: {first['msg']}; make one with `mendsearch profile`"
        ) from None
