"""From a name in the spec to a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from mendsearch.errors import ModelError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.models.resnet import cifar_resnet, digits_resnet

BUILT_IN: dict[str, Callable[..., nn.Module]] = {"digits-resnet": digits_resnet, "cifar-resnet": cifar_resnet}


def build_model(
    name: str, kwargs: dict[str, Any], *, num_classes: int | None = None, in_channels: int | None = None
) -> nn.Module:
    """The dense network, with fresh weights unless the factory loads its own.

    Args:
        name: a built-in name, `torchvision:NAME` or `package.module:factory`.
        kwargs: passed to the factory.
        num_classes: of the data; passed on where the factory takes it and `kwargs` does not say.
        in_channels: of the images; likewise.

    Raises:
        ModelError: the name leads nowhere, or the factory refuses the arguments.
    """
    factory = _factory(name)
    accepted = inspect.signature(factory).parameters
    wanted = {"num_classes": num_classes, "in_channels": in_channels}
    if "weights" in kwargs or "pretrained" in kwargs:
        wanted = {}
    open_ended = name.startswith("torchvision:")
    filled = {
        key: value
        for key, value in wanted.items()
        if value is not None and (key in accepted or (open_ended and key == "num_classes"))
    }
    try:
        model = factory(**{**filled, **kwargs})
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"model {name} cannot be built with {kwargs}: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name}: got {type(model).__name__}, expected a torch.nn.Module")
    return model


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.startswith("torchvision:"):
        from torchvision.models import get_model_builder, list_models

        wanted = name.removeprefix("torchvision:")
        if wanted not in list_models():
            raise ModelError(f"model {name}: torchvision has no model `{wanted}`; try torchvision:resnet18")
        return get_model_builder(wanted)  # type: ignore[no-any-return]  # torchvision is untyped here
    if is_import_path(name):
        return import_factory(name, ModelError)
    raise ModelError(
        f"model {name!r} is unknown; expected {', '.join(BUILT_IN)}, torchvision:NAME or package.module:factory"
    )
