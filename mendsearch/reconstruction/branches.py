"""Following a forward pass: what each layer reads, and the sums in which its outputs meet another branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mendsearch.modes import BatchNorm

SUMS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})


@dataclass(eq=False)
class Tip:
    """The layer that ran last, and its outputs as long as nothing but a batch norm has touched them.

    Attributes:
        layer: its name.
        module: itself.
        outputs: of the layer, or of the batch norm behind it.
        version: of `outputs`, which an operation in place would raise.
        norm: the batch norm behind it, or None.
    """

    layer: str
    module: nn.Module
    outputs: Tensor
    version: int
    norm: BatchNorm | None = None

    def holds(self, tensor: object) -> bool:
        """Whether `tensor` is the outputs, untouched."""
        return tensor is self.outputs and self.outputs._version == self.version


class Branches(TorchFunctionMode):
    """Within the scope, forward passes of a network are followed.

    Args:
        model: the network.
        layers: names of those to follow.
        on_input: called with name, module and inputs (N, C, ...) before a layer runs.
        on_sum: called with the layer that ran last and the other branch where its outputs enter a sum with a tensor of
            the same shape; what it returns enters the sum in their place.
        on_output: called with the layer that has run.
        on_norm: called with it once more, when a batch norm has taken its outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        *,
        on_input: Callable[[str, nn.Module, Tensor], None] = lambda layer, module, inputs: None,
        on_sum: Callable[[Tip, Tensor], Tensor],
        on_output: Callable[[Tip], None] = lambda tip: None,
        on_norm: Callable[[Tip], None] = lambda tip: None,
    ) -> None:
        super().__init__()
        self._model, self._layers = model, layers
        self._on_input, self._on_sum, self._on_output, self._on_norm = on_input, on_sum, on_output, on_norm
        self._tip: Tip | None = None
        self._busy = False
        self._hooks = ExitStack()

    def __enter__(self) -> Branches:
        for layer in self._layers:
            module = self._model.get_submodule(layer)
            before = module.register_forward_pre_hook(lambda m, i, layer=layer: self._before(layer, m, i[0]))
            after = module.register_forward_hook(lambda m, _i, o, layer=layer: self._after(layer, m, o))
            self._hooks.callback(before.remove)
            self._hooks.callback(after.remove)
        for module in self._model.modules():
            if isinstance(module, BatchNorm):
                self._hooks.callback(module.register_forward_hook(self._after_norm).remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.close()
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Any operation on tensors; sums of two are looked at."""
        if self._tip is not None and not kwargs and len(args) == 2 and getattr(func, "__name__", "") in SUMS:
            args = self._met(*args)
        return func(*args, **(kwargs or {}))

    def _met(self, left: Any, right: Any) -> tuple[Any, Any]:
        tip = self._tip
        if tip is None or left is right or getattr(left, "shape", None) != getattr(right, "shape", ()):
            return left, right
        self._busy, self._tip = True, None
        try:
            if tip.holds(left):
                return self._on_sum(tip, right), right
            if tip.holds(right):
                return left, self._on_sum(tip, left)
        finally:
            self._busy = False
        self._tip = tip
        return left, right

    def _before(self, layer: str, module: nn.Module, inputs: Tensor) -> None:
        if not self._busy:
            self._tip = None
            self._on_input(layer, module, inputs)

    def _after(self, layer: str, module: nn.Module, outputs: Tensor) -> None:
        if not self._busy:
            self._tip = Tip(layer, module, outputs, outputs._version)
            self._on_output(self._tip)

    def _after_norm(self, norm: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        tip = self._tip
        if not self._busy and tip is not None and tip.norm is None and tip.holds(inputs[0]):
            self._tip = Tip(tip.layer, tip.module, outputs, outputs._version, norm)  # type: ignore[arg-type]
            self._on_norm(self._tip)
