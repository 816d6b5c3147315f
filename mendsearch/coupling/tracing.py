"""One forward pass, followed operator by operator: which unit every index of every tensor belongs to.

Below PyTorch's modules and functions every network is a list of ATen operators. Each operator's rule says where the
units of its inputs go, and ties those that meet. What has no rule keeps the units that reach it whole, with the
operator, the module and the line of the source as the reason. So a network is never refused for one layer.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from mendsearch import batches
from mendsearch.batches import Batch
from mendsearch.coupling.copying import named_tensors
from mendsearch.coupling.layout import Ints
from mendsearch.coupling.lifetimes import Lifetimes
from mendsearch.coupling.nesting import tensors_in
from mendsearch.coupling.rules import rule_of
from mendsearch.coupling.rules.attention import unscaled_attention
from mendsearch.coupling.sizes import Given, Size, marked, unwritten_size
from mendsearch.coupling.trace import Choice, Product, Reading, Site, Trace
from mendsearch.coupling.units import Traced
from mendsearch.errors import CouplingError

TIME_LIMIT_S = 60.0
"""Longest time of one traced pass."""
OWN_FOLDERS = tuple(f"{Path(file).parent}{os.sep}" for file in (torch.__file__, __file__))


class Tracer(TorchDispatchMode):
    """Within the scope, operators are followed.

    Args:
        model: the network.
        trace: what is found is added to it.
        tensors: parameters and buffers that the pass will use, by name, if not the network's own.
        kind: name of the pass.
        items: number of items in its inputs; costs are per item.
        lifetimes: what tensors are alive when is noted there, if given.

    Attributes:
        modules: names of the modules that are running, outermost first.
        inputs: by module, what its last inputs were.
        failed: what the operator that raised was given: what the inputs have a part in, then all of it.
        convolved: by tensor, the convolution that put it out.
        given: the sizes that the running function was given.
        guessed: whether a product was taken to be the same for any number of items, as the inputs have no part in it.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch would import its compiler only to keep it out of here, which takes seconds."""
        return False

    def __init__(
        self,
        model: nn.Module,
        trace: Trace,
        tensors: Mapping[str, Tensor] | None = None,
        *,
        kind: str = "evaluation",
        items: int = 1,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given = Given()
        self.guessed = False
        self.model, self.trace, self.kind, self.items = model, trace, kind, items
        self.lifetimes = lifetimes
        self.modules: list[str] = []
        self.inputs: dict[str, list[Traced]] = {}
        self.failed: tuple[list[Traced], list[Traced]] = [], []
        # tensors may be freed: a pass would need the memory of all of them otherwise
        self.convolved = WeakTensorKeyDictionary()
        self._known: dict[int, tuple[weakref.ref[Tensor], Traced]] = {}
        self._aliases: dict[int, list[TensorWeakRef]] = {}
        self._views = 0
        self._until = time.monotonic() + TIME_LIMIT_S
        for name, tensor in own_tensors(model).items():
            traced = self._own(name, tensor)
            self.put(tensor, traced)
            if tensors is not None:
                self.put(tensors[name], traced)

    def _own(self, name: str, tensor: Tensor) -> Traced:
        """The units of a parameter or buffer; kernel positions of a convolution never shrink and have none."""
        module = self.model.get_submodule(name.rpartition(".")[0])
        spatial = isinstance(module, nn.modules.conv._ConvNd) and tensor.dim() > 2
        axes = {}
        for dim in range(2 if spatial else tensor.dim()):
            if (name, dim) not in self.trace.places:
                self.trace.places[name, dim] = self.trace.units.fresh(tensor.shape[dim])
            axes[dim] = self.trace.places[name, dim]
        return Traced(axes, source=name)

    def give(self, inputs: Batch) -> None:
        """Say which tensors are the network's inputs."""
        for tensor in inputs.tensors:
            self.put(tensor, Traced({}, self.trace.input))
        self._note_lives(inputs.tensors)

    @contextmanager
    def following(self) -> Iterator[Tracer]:
        """A scope in which the network's modules are followed too."""
        hooks = []
        for name, module in self.model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):  # it bears no hooks
                continue
            hooks.append(
                module.register_forward_pre_hook(
                    lambda m, a, k, name=name: self._enter(name, m, a, k), with_kwargs=True, prepend=True
                )
            )
            hooks.append(module.register_forward_hook(lambda m, a, o, name=name: self.leave(name, o)))
        try:
            with torch.no_grad(), marked(self.model, self._hear) as self.given, self:
                yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _hear(self, func: Any, args: Any, kwargs: Any) -> None:
        """Attention may run as products of its parts, behind which its scale does not show."""
        if func is functional.scaled_dot_product_attention:
            query = args[0] if args else kwargs["query"]
            unscaled_attention(self, query, kwargs.get("scale"))

    def _enter(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.modules.append(name)
        self.trace.ran.add(name)
        given = [traced for leaf in tensors_in((args, kwargs)) if (traced := self.get(leaf)) is not None]
        self.inputs[name] = given
        size = unwritten_size(module)
        if size is not None and given and args and isinstance(args[0], Tensor):
            units = given[0].axes.get(size[1] % args[0].dim())
            if units is not None:
                self._sized(f"{name}.{size[0]}" if name else size[0], units, len(units))

    def _sized(self, path: str, units: Ints, size: int) -> None:
        """An attribute is the size of these units, or a multiple of it."""
        known, _ = self.trace.sizes.setdefault(path, (units, size))
        if len(units) % len(known) == 0:
            self.trace.units.tie(known, units.reshape(-1, len(known)))

    def follow(self, size: int | None, units: Ints) -> bool:
        """Let the attribute that a size was computed from follow the units; whether the size follows them."""
        if not isinstance(size, Size):
            return False
        if len(size.terms) == 1:
            path, factor = next(iter(size.terms.items()))
            self._sized(path, units, int(size / factor))
        return True

    def leave(self, name: str, outputs: Any) -> None:
        """A module has run."""
        self.modules.pop()

    @property
    def module(self) -> str:
        """Name of the innermost module that is running."""
        return self.modules[-1] if self.modules else ""

    def reason(self, what: str) -> str:
        """`what`, with the module and the line of the source that is running."""
        where = f"`{self.module}`" if self.module else "the network's forward pass"
        file, line = site()
        place = "" if file == batches.__file__ else f" ({Path(file).name}:{line})"  # all of it is PyTorch's own
        return f"{what} in {where}{place}"

    def get(self, tensor: object) -> Traced | None:
        """What is known of a tensor; None of one that neither parameters nor inputs had a part in."""
        found = self._known.get(id(tensor))
        return None if found is None else found[1]

    def axes(self, tensor: object) -> dict[int, Ints]:
        """The units of a tensor, by dimension."""
        traced = self.get(tensor)
        return {} if traced is None else traced.axes

    def put(self, tensor: Tensor, traced: Traced) -> None:
        """Say what is known of a tensor."""
        known, key = self._known, id(tensor)  # an id is unique only as long as its object lives
        known[key] = weakref.ref(tensor, lambda _: known.pop(key, None)), traced

    def tie(self, left: Ints, right: Ints) -> None:
        """Units go together."""
        self.trace.units.tie(left, right)

    def constant(self, size: int, what: str) -> Ints:
        """Units that stay."""
        return self.trace.units.constant(size, self.reason(what))

    def fix(self, units: Ints, what: str) -> None:
        """Units stay, since the pass would fail without them."""
        self.trace.units.fix(units, self.reason(what))

    def owe(self, units: Ints, what: str) -> frozenset[int]:
        """Units stay if what is computed from them now has a part in the outputs."""
        return self.trace.units.owe(units, self.reason(what))

    def debts(self, *values: object) -> frozenset[int]:
        """Debts of all tensors among `values`."""
        found = [self.get(leaf) for leaf in tree_leaves(values)]
        return frozenset().union(*(traced.debts for traced in found if traced is not None))

    def running(self) -> nn.Module | None:
        """The innermost module that is running."""
        return self.model.get_submodule(self.module)

    def own_weight(self) -> str:
        """Name of the running module's weight, as `Traced.source` gives it."""
        return f"{self.module}.weight" if self.module else "weight"

    def produce(self, units: Ints | None) -> None:
        """A weight puts these units out as its channels."""
        if units is not None:
            self.trace.produced.append(units)

    def read(self, conv_groups: int, bias: bool) -> None:
        """The running layer reads units with its own weight."""
        self.trace.readings.setdefault(self.module, Reading(self.module, conv_groups, bias))

    def of_input(self, *values: object) -> bool:
        """Whether the network's inputs have a part in a tensor; weights, computed ones too, are of none."""
        return bool(self.trace.input & self.debts(*values))

    def count(self, macs: float, units: list[Ints | None], *operands: Tensor) -> None:
        """A multiplication of tensors, with the units of the dimensions that may shrink."""
        shrinking = tuple(found for found in units if found is not None)
        followed = self.of_input(*operands)
        self.guessed |= not followed
        self.trace.products.append(Product(self.module, macs / (self.items if followed else 1), shrinking))

    def choose(self, units: Ints, sizes: Mapping[int, int]) -> int:
        """Which of several dimensions (with how many units stand along each) that a view made of one shrinks."""
        number = (self.kind, self._views)
        self._views += 1
        likely = tuple(sorted(sizes, key=lambda dim: (sizes[dim], dim), reverse=True))
        choice = self.trace.choices.setdefault(number, Choice(units, likely, site()))
        out = self.trace.chosen.get(number, 0)
        if out >= len(choice.candidates):
            self.fix(units, "reshaped to sizes that do not follow")
            return likely[0]
        return choice.candidates[out]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator, and follow it."""
        kwargs = kwargs or {}
        if self.lifetimes is not None:
            self.lifetimes.now += 1
        if time.monotonic() > self._until:
            raise CouplingError(
                f"tracing the network took more than {TIME_LIMIT_S:.0f} s, last in `{self.module}`; give smaller inputs"
            )
        known = [leaf for leaf in tree_leaves((args, kwargs)) if id(leaf) in self._known]
        try:
            out = self.compute(func, args, kwargs)
        except Exception:
            given = [traced for leaf in known if (traced := self.get(leaf)) is not None]
            self.failed = [traced for traced in given if self.trace.input & traced.debts], given
            raise
        if known:
            before = self.get(args[0]) if args else None
            rule_of(func)(self, func, args, kwargs, out)
            self._note_writes(func, args, before)
        self._note_views(func, args, out)
        self._note_lives(out)
        self.after(out)
        return out

    def compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The operator itself."""
        return func(*args, **kwargs)

    def after(self, out: Any) -> None:
        """An operator has run and its outputs are known."""

    def _note_views(self, func: Any, args: Any, out: Any) -> None:
        """Tensors that share memory."""
        view = not func._schema.is_mutable and any(returned.alias_info for returned in func._schema.returns)
        if view and args and isinstance(args[0], Tensor):
            pointer = args[0].untyped_storage().data_ptr()
            views = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
            alive = [other for other in self._aliases.get(pointer, ()) if other() is not None]
            self._aliases[pointer] = [*(alive or [TensorWeakRef(args[0])]), *map(TensorWeakRef, views)]

    def _note_lives(self, out: Any) -> None:
        """Tensors that are alive, if anybody wants to know."""
        if self.lifetimes is None:
            return
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.lifetimes.note(leaf, self.axes(leaf), self.of_input(leaf))

    def _note_writes(self, func: Any, args: Any, before: Traced | None) -> None:
        """Units that are written into a part of a tensor are not seen through the whole of it, so they stay."""
        if not func._schema.is_mutable or not args or not isinstance(args[0], Tensor):
            return
        after = self.get(args[0])
        aliases = self._aliases.get(args[0].untyped_storage().data_ptr(), ())
        others = [other for alias in aliases if (other := alias()) is not None]
        if after is None or not others or (before is not None and before.axes.keys() == after.axes.keys()):
            return
        for units in after.axes.values():
            self.fix(units, "written into a part of another tensor")
        for other in others:
            if self.get(other) is None:
                self.put(other, Traced({}, after.debts))


def site() -> Site:
    """The innermost file and line outside PyTorch and this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OWN_FOLDERS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that may have units: parameters and persistent buffers in floating point, each once.

    Those of TorchScript modules are left out: their shapes are part of compiled code.
    """
    scripted = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    return {
        name: tensor
        for name, tensor in named_tensors(model).items()
        if tensor.is_floating_point() and not any(name.startswith(f"{part}.") for part in scripted)
    }
