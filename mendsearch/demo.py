"""The spec of `mendsearch demo`: the main job on scikit-learn's handwritten digits."""

from __future__ import annotations

from mendsearch.config import Spec, parse_spec


def demo_spec(trials: int) -> Spec:
    """A ResNet-8 for 8x8 digits, brought to a fifth of its MACs."""
    return parse_spec(
        {
            "name": "demo",
            "model": {"name": "digits-resnet"},
            "data": {"name": "digits"},
            "budget": {"macs": 0.2},
            "train": {"epochs": 30},
            "mend": {"trials": trials},
            "finetune": {"epochs": 5},
        },
        origin="demo",
    )
