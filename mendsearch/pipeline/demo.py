"""The spec of `mendsearch demo`: the full pipeline on scikit-learn's handwritten digits."""

from __future__ import annotations

from pathlib import Path

from mendsearch.config import Spec, load_spec

SPEC = Path(__file__).with_name("demo.toml")


def demo_spec(trials: int | None) -> Spec:
    """The spec in `demo.toml`, with another number of trials if one is given."""
    return load_spec(SPEC, () if trials is None else (f"mend.trials={trials}",))
