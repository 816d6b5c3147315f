"""A call of the user's own fine-tuning."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from mendsearch.coupling.copying import state_of, unwrapped
from mendsearch.errors import UsageError

Finetune = Callable[[nn.Module, float, int], nn.Module]
"""(network, fraction of the whole fine-tuning, seed) -> network."""


def finetuned_by(
    function: Callable[[nn.Module, float, int], object],
    model: nn.Module,
    part: float,
    seed: int,
    *,
    name: str,
    error: type[UsageError] = UsageError,
) -> nn.Module:
    """The network that a function of the user's makes of another one, in evaluation mode.

    Args:
        function: the fine-tuning.
        model: the network, which may be changed.
        part: fraction of the whole fine-tuning.
        seed: seed of this part.
        name: of the function in errors.
        error: class of the errors.

    Raises:
        UsageError: it gives no network, or another one.
    """
    given = _shapes(model)
    found: object = function(model, part, seed)
    if not isinstance(found, nn.Module):
        raise error(f"{name}: got {type(found).__name__}, expected the fine-tuned torch.nn.Module")
    tuned = unwrapped(found)
    shapes = _shapes(tuned)
    if other := [tensor for tensor in [*given, *shapes] if given.get(tensor) != shapes.get(tensor)]:
        got, expected = (known.get(other[0], "no such tensor") for known in (shapes, given))
        raise error(
            f"{name}: got another network, whose {other[0]} has the shape {got}, expected {expected}; return the "
            f"network that the function was given"
        )
    return tuned.eval()


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state_of(model).items()}
