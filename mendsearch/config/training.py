"""Training of the dense network, and fine-tuning."""

from __future__ import annotations

from pydantic import Field

from mendsearch.config.base import ImportPath, SpecPart

LOSS = (
    "Import path `package.module:function` of a loss of your own: it is given the network's outputs and the targets of "
    "a batch, and returns a scalar. By default cross-entropy where the network has one output with classes, the "
    "squared error where it has one output of another kind."
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
        description="Peak of the one-cycle schedule; lower than for training, since the weights are already good. In "
        "networks with layer norms, or without norms, gradients are clipped.",
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
