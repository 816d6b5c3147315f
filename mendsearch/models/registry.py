"""Networks built from the name in a spec."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from mendsearch.errors import ModelError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.models.resnet import cifar_resnet, digits_resnet

BUILT_IN: dict[str, Callable[..., nn.Module]] = {"digits-resnet": digits_resnet, "cifar-resnet": cifar_resnet}


def complete_kwargs(name: str, kwargs: Mapping[str, Any], **of_data: int | None) -> dict[str, Any]:
    """The factory's arguments, completed from the data.

    An argument of `of_data` is added if the factory accepts it and `kwargs` does not have it. torchvision's builders
    accept `num_classes`, but not together with `weights`, which have their own.

    Args:
        name: name of the network, as in `build_model`.
        kwargs: arguments from the user, which win.
        of_data: `num_classes` and `in_channels`; None if they are not known.

    Raises:
        ModelError: there is no network of that name.
    """
    accepted = set(inspect.signature(_factory(name)).parameters)
    if name.startswith("torchvision:"):
        accepted = set() if "weights" in kwargs else {"num_classes"}
    return {key: value for key, value in of_data.items() if key in accepted and value is not None} | dict(kwargs)


def build_model(name: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Build the dense network, with fresh weights unless the factory loads its own, or `kwargs` ask for some.

    torchvision's detection and segmentation networks would by default download weights of their backbone.

    Args:
        name: a built-in name, `torchvision:NAME` or `package.module:factory`.
        kwargs: keyword arguments of the factory.

    Raises:
        ModelError: there is no network of that name, or the factory refuses the arguments.
    """
    factory = _factory(name)
    if name.startswith("torchvision:") and "weights_backbone" in inspect.signature(factory).parameters:
        kwargs = {"weights_backbone": None, **kwargs}
    try:
        model = factory(**kwargs)
    except ModelError:
        raise
    except Exception as error:
        given = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
        takes = f"; it takes {inspect.signature(factory)}" if name in BUILT_IN else ""
        raise ModelError(
            f"model {name} cannot be built with ({given}): {type(error).__name__}: {error}{takes}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name}: got {type(model).__name__}, expected a torch.nn.Module")
    return model


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if is_import_path(name):
        return import_factory(name, ModelError)
    from torchvision.models import get_model_builder, list_models

    wanted = name.removeprefix("torchvision:")
    if wanted != name and wanted in list_models():
        return get_model_builder(wanted)  # type: ignore[no-any-return]  # torchvision is untyped here
    full = {known: f"torchvision:{known}" for known in list_models()} | {known: known for known in BUILT_IN}
    near = get_close_matches(wanted, full, 1)
    meant = f"; did you mean {full[near[0]]}?" if near else ""
    raise ModelError(
        f"model {name!r} is unknown; expected {', '.join(BUILT_IN)}, torchvision:NAME or package.module:factory{meant}"
    )
