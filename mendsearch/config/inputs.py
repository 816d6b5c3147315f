"""The dense network and its data."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, JsonValue

from mendsearch.config.base import SpecPart


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
