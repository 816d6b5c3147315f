"""Numbers, times and durations for people."""

from __future__ import annotations

from datetime import datetime

from mendstore.records import RunResult, Structure

COSTS = {
    "macs": "MACs",
    "params": "parameters",
    "latency_ms": "latency (ms)",
    "size_bytes": "bytes of weights",
    "activation_bytes": "bytes of activations",
}
"""Costs in words."""


def score(value: float | None) -> str:
    """A score with a true minus sign; -0.0 is shown as 0."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.2e}".replace("-", "−") if 0 < abs(value) < 5e-4 else f"{value:.4f}".replace("-", "−")


def signed(value: float, digits: int = 4) -> str:
    """A difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """A number in full, with commas."""
    return "–" if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """A large number in three digits: 763 k, 31.0 M, 4.09 G."""
    if value is None:
        return "–"
    for unit in ("", " k", " M", " G", " T"):
        if abs(value) < 999.5:
            return f"{value:.3g}{unit}" if unit else f"{value:.0f}"
        value /= 1000
    return f"{value:.3g} P"


def cost(name: str, value: float) -> str:
    """A cost with its name: `31.0 M MACs`, `0.65 ms`, `0.65 ms on board`."""
    if name.partition(".")[0] != "latency_ms":
        return f"{amount(value)} {COSTS.get(name, name)}"
    return f"{value:.3g} ms on {device(name)}" if device(name) else f"{value:.3g} ms"


def device(limit: str) -> str:
    """The device that a limit in time is named after: `board` of `latency_ms.board`, nothing of `latency_ms`."""
    return limit.partition(".")[2]


def percent(part: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return "–" if part is None else f"{part:.{digits}%}"


def figure(value: float | None, result: RunResult, digits: int = 2) -> str:
    """The figure of a network in a result: a percentage if it is an accuracy, a number otherwise."""
    return percent(value, digits) if result.metric is None else score(value)


def measured(name: str, result: RunResult) -> str:
    """The figure of a network on the test split; an accuracy with its standard error, in points.

    In older results, the error is that of one decision an item.
    """
    value = result.figures.get(name)
    if value is None or result.metric is not None or not result.test_images:
        return figure(value, result)
    error = result.rows[name].accuracy_error
    if error is None:
        error = (max(0.0, value * (1 - value)) / result.test_images) ** 0.5
    return f"{100 * value:.2f} ± {100 * error:.2f}%"


def agreeing(part: float, structure: Structure) -> str:
    """How many decisions are those of the reference."""
    shapes = [output.shape for output in structure.outputs if output.divergence in ("kl", "bernoulli")]
    of_images = all(len(shape) <= 1 for shape in shapes)
    if of_images:
        return f"{percent(part)} of validation images get the class of {structure.reference_name}"
    return f"{percent(part)} of positions on validation images get the class of {structure.reference_name}"


def span(seconds: float | None) -> str:
    """A duration in its two largest units."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, lesser, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // lesser
            return f"{whole // size} {unit} {rest} {name}" if rest and whole < 30 * size else f"{whole // size} {unit}"
    return f"{whole} s"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 worker`, `2 workers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(at: datetime | None) -> str:
    """A time of the database, in UTC, as ISO 8601; pages show it in the time zone of the browser."""
    return "" if at is None else at.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
