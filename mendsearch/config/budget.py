"""Limits on the pruned network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, field_validator, model_validator

from mendsearch.config.base import SpecPart


def _time(value: object) -> object:
    percent = isinstance(value, str) and value.endswith("%")
    try:
        number = float(value.removesuffix("%") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= (100 if percent else math.inf):
        raise ValueError('expected milliseconds, such as 8, or a text such as "40%", of the dense network\'s time')
    return value


def _as_table(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


Limit = Annotated[float, Field(gt=0)]
Percentage = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?%$")]
Latency = Annotated[Limit | Percentage, BeforeValidator(_time)]
ProfileOf = Annotated[Path | dict[str, JsonValue], BeforeValidator(_as_table)]
LATENCY = "latency_ms"
"""Name of the limit in time; on a named device, with a dot and its name behind it."""
SUFFIX, CORRECTIONS = "-corrected", 3
"""What the name of a search with its latency models corrected ends with, and how many follow each other."""
FRACTIONS = ("macs", "params", "size_bytes", "activation_bytes")
"""Costs of which a number up to 1 is a fraction of the dense network's. Milliseconds are never: 0.8 is 0.8 ms."""


class LatencyLimit(SpecPart):
    """A limit in time, in the setting of a latency profile."""

    latency_ms: Latency = Field(description="As `budget.latency_ms`, on this device.")
    profile: ProfileOf = Field(description="Latency profile of this device, as `budget.profile`.")

    @property
    def part(self) -> float | None:
        """`latency_ms` as a fraction of the dense network's; None where it is in milliseconds."""
        given = self.latency_ms
        return float(given.removesuffix("%")) / 100 if isinstance(given, str) else None


class DeviceLimit(LatencyLimit):
    """A limit in time on one of several devices, or in one of several runtimes; all of them hold at once."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", description="Name of the device in tables and messages."
    )


class Budget(SpecPart):
    """Limits on the pruned network: up to 1 fractions of the dense network, above 1 absolute. All must hold."""

    macs: Limit | None = Field(default=None, description="Multiply-accumulates of one item.")
    params: Limit | None = Field(default=None, description="Parameters.")
    size_bytes: Limit | None = Field(default=None, description="Bytes of the parameters, in the network's dtype.")
    activation_bytes: Limit | None = Field(
        default=None,
        description="Bytes of all tensors that the forward pass of one item holds at once, where they are most.",
    )
    latency_ms: Latency | None = Field(
        default=None,
        description="Milliseconds of a pass as `budget.profile` was measured, any number; or a text such as `50%`, of "
        "the dense network's.",
    )
    profile: ProfileOf | None = Field(
        default=None,
        description="Latency profile that `mendsearch profile` wrote: its file, or what it holds.",
    )
    device: tuple[DeviceLimit, ...] = Field(
        default=(), description="Limits in time on several devices, each a table `[[budget.device]]`."
    )

    @field_validator("device")
    @classmethod
    def _named_apart(cls, value: tuple[DeviceLimit, ...]) -> tuple[DeviceLimit, ...]:
        names = [device.name for device in value]
        if len(set(names)) < len(names):
            raise ValueError(f"expected different names, got {', '.join(names)}")
        return value

    @model_validator(mode="after")
    def _needs_a_limit(self) -> Budget:
        if self.latency_ms is not None and self.profile is None:
            raise ValueError("`latency_ms` needs `profile`; make one with `mendsearch profile`")
        if not self.limits():
            raise ValueError(
                "a budget needs `macs`, `params`, `latency_ms`, `size_bytes`, `activation_bytes` or `device`"
            )
        return self

    def limits(self) -> dict[str, float]:
        """The limits that were given, by name; a percentage as a fraction."""
        counted = {name: getattr(self, name) for name in FRACTIONS}
        timed = {name: limit.part or limit.latency_ms for name, limit in self.latencies.items()}
        return {name: value for name, value in (counted | timed).items() if value is not None}

    @property
    def latencies(self) -> dict[str, LatencyLimit]:
        """The limits in time, by the names that `limits` gives them: `latency_ms`, `latency_ms.NAME` of a device."""
        found: dict[str, LatencyLimit] = {f"{LATENCY}.{limit.name}": limit for limit in self.device}
        if self.latency_ms is None or self.profile is None:
            return found
        return {LATENCY: LatencyLimit(latency_ms=self.latency_ms, profile=self.profile)} | found

    def with_profiles(self, profiles: Mapping[str, Path | dict[str, JsonValue]]) -> Budget:
        """The same limits with other latency profiles, by the names of the limits."""
        device = tuple(
            limit.model_copy(update={"profile": profiles.get(f"{LATENCY}.{limit.name}", limit.profile)})
            for limit in self.device
        )
        return self.model_copy(update={"profile": profiles.get(LATENCY, self.profile), "device": device})

    def said(self, name: str) -> str:
        """A limit as it was given, such as `macs=0.4` or `latency_ms.board=50%`, by its name."""
        limit = self.latencies.get(name)
        asked = getattr(self, name) if limit is None else limit.latency_ms
        return f"{name}={asked if isinstance(asked, str) else format(asked, 'g')}"

    def absolute(self, dense: Mapping[str, float]) -> dict[str, float]:
        """The limits in absolute numbers, by name.

        Args:
            dense: costs of the dense network, by name.
        """
        relative = {name for name, value in self.limits().items() if name in FRACTIONS and value <= 1}
        relative |= {name for name, limit in self.latencies.items() if limit.part is not None}
        return {name: value * dense[name] if name in relative else value for name, value in self.limits().items()}


def is_latency(name: str) -> bool:
    """Whether the limit of a name is one in time."""
    return name.partition(".")[0] == LATENCY
