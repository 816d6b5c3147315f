"""Times of the networks of a run on the devices that its budget is for, and whether they are fast enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mendstore.records.base import Number, Record

VISIBLE = 0.01
"""Fraction from which a difference in pace is shown."""


class Timing(Record):
    """Times of the networks on a device that the budget is for, at the end of the run."""

    setting: dict[str, Any] = Field(description="Runtime, device, batch, threads, dtype and versions of the profile.")
    profile: str = Field(description="Digest of the latency profile.")
    error: Number = Field(description="Mean relative error of the profile's model on candidates it had not seen.")
    asked_ms: Number = Field(description="The budget.")
    pace: Number = Field(
        1.0,
        description="By how many times the dense network took longer when it was measured than in the profile; "
        "others may take longer by as many.",
    )
    predicted_ms: dict[str, Number] = Field(description="By network, as the model says.")
    layers_ms: dict[str, dict[str, Number]] = Field(
        default_factory=dict,
        description="By network, what the model gives to each layer; the rest of a pass is of no layer.",
    )
    measured_ms: dict[str, Number] = Field(
        default_factory=dict, description="By network, measured in turns; empty where the run was on another device."
    )
    noise: Number | None = Field(None, description="Standard error of these medians, as a fraction.")
    met: bool | None = Field(
        None, description="Whether the exported network meets the budget by measurement, within the noise."
    )

    @property
    def most_ms(self) -> float:
        """The budget at the pace at which the networks were measured."""
        return self.asked_ms * self.pace

    @property
    def paced(self) -> bool:
        """Whether that pace differs visibly from the profile's."""
        return abs(self.pace - 1) > VISIBLE


def all_met(timings: Mapping[str, Timing]) -> bool | None:
    """Whether all limits in time are met, by measurement; None where that is not known, or there are none."""
    met = [timing.met for timing in timings.values()]
    return False if False in met else None if None in met or not met else True


def replaces(met: bool | None, value: float, kept_met: bool | None, kept_value: float) -> bool:
    """Whether the network of a search with latency models corrected takes the place of the one of the search before.

    Args:
        met: whether the new one meets all limits in time.
        value: its figure on the validation split, higher is better.
        kept_met: whether the one before does.
        kept_value: its figure.
    """
    return not kept_met or (met is True and value > kept_value)
