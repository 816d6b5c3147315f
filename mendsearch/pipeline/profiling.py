"""The latency profile of the network of a spec, or of one by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mendsearch.batches import Batch
from mendsearch.budget import LatencyProfile
from mendsearch.config import load_spec
from mendsearch.errors import UsageError
from mendsearch.importing import is_import_path
from mendsearch.latency.calling import profile
from mendsearch.models.registry import build_model, complete_kwargs
from mendsearch.pipeline.inputs import channels_of
from mendsearch.pipeline.inspection import drawn
from mendsearch.training.sources import open_source
from mendsearch.training.splits import split


def profile_named(
    what: str, forms: Sequence[str], exclude: Sequence[str], overrides: Sequence[str], **settings: Any
) -> LatencyProfile:
    """As `mendsearch.profile`, for a spec file or the name of a network.

    Args:
        what: path of a spec file, or name of a network.
        forms: of a named network's inputs, as `drawn` reads them.
        exclude: of a named network, layers that keep all their output channels.
        overrides: keys of the spec, as `key=value`.
        settings: of `mendsearch.profile`.

    Raises:
        UsageError: there is no such spec or network, or it cannot be measured.
    """
    torch.manual_seed(0)
    path = Path(what)
    if path.suffix == ".toml" or (path.is_file() and not is_import_path(what)):
        if forms or exclude:
            raise UsageError("profile: got --input or --exclude with a spec, which says both; try --set")
        spec = load_spec(path, (*overrides, "budget={macs=0.5}"))  # its own may name the file that comes of this
        splits = split(open_source(spec.data, spec.seed), spec.data, spec.seed)
        inputs: Batch = splits.calibration
        of_data = {"num_classes": splits.num_classes} | channels_of(inputs)
        model = build_model(spec.model.name, complete_kwargs(spec.model.name, spec.model.kwargs, **of_data))
        return profile(model.eval(), inputs[:2], exclude=spec.prune.exclude, **settings)
    inputs = drawn(forms or ["3x224x224"])
    model = build_model(what, complete_kwargs(what, {}, **channels_of(inputs)))
    return profile(model.eval(), inputs, exclude=exclude, **settings)
