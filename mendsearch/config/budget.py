"""Limits on the pruned network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, field_validator, model_validator

from mendsearch.config.base import SpecPart

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
        given["latency_ms"] = self.latency_part or self.latency_ms
        return {name: value for name, value in given.items() if value is not None}

    @property
    def latency_part(self) -> float | None:
        """`latency_ms` as a fraction of the dense network's; None where it is in milliseconds, or not given."""
        given = self.latency_ms
        return float(given.removesuffix("%")) / 100 if isinstance(given, str) else None

    def absolute(self, dense: Mapping[str, float]) -> dict[str, float]:
        """The limits in absolute numbers, by name.

        Args:
            dense: costs of the dense network, by name.
        """
        relative = {name for name, value in self.limits().items() if name in FRACTIONS and value <= 1}
        relative |= {"latency_ms"} if self.latency_part is not None else set()
        return {name: value * dense[name] if name in relative else value for name, value in self.limits().items()}
