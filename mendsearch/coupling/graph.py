"""From a network to its coupling groups: trace it, check what was traced, keep whole what does not hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.coupling.copying import call, other_names, unwrapped
from mendsearch.coupling.grouping import EXCLUDED, OUTPUT, coupling_of, layer_of, prunable
from mendsearch.coupling.layout import Coupling, Ints
from mendsearch.coupling.lifetimes import Lifetimes
from mendsearch.coupling.nesting import tensors_in
from mendsearch.coupling.probe import Fault, bears_channels_last, find_fault
from mendsearch.coupling.trace import Trace
from mendsearch.coupling.tracing import Tracer, own_tensors
from mendsearch.errors import CouplingError, DataError
from mendsearch.modes import evaluating, to_network

logger = logging.getLogger(__name__)
PROBING_S = 45.0
"""Processor seconds of one thread after which groups that may still hold a fault are all kept whole."""


def find_coupling(model: nn.Module, example: BatchLike, exclude: tuple[str, ...] = ()) -> Coupling:
    """The coupling groups of a network, each checked against the law: slices equal the dense network, silenced.

    A layer that cannot be followed stays whole, with the reason in `Coupling.whole`.

    Args:
        model: not changed.
        example: inputs of the network; two items are enough.
        exclude: layers that keep all their output channels, names or patterns.

    Raises:
        DataError: the network refuses such inputs.
        ModelError: it has no parameters, or is scripted.
        CouplingError: a pattern of `exclude` matches no layer, tracing takes too long, or the forward pass runs in
            inference mode.
    """
    model = unwrapped(model)
    inputs = _two(model, example)
    excluded = _excluded(model, exclude)
    chosen: dict[tuple[str, int], int] = {}
    kept: list[tuple[Ints, str]] = []
    paired: set[str] = set()
    trace = trace_network(model, inputs, chosen)
    until = time.thread_time() + PROBING_S
    while True:
        coupling = _stepped(coupling_of(model, trace, [*_units_of(trace, excluded), *kept]), paired)
        fault = find_fault(model, coupling, trace, inputs) if coupling.groups else None
        if fault is None:
            return replace(coupling, channels_last=bears_channels_last(model, coupling, inputs))
        if fault.single:
            paired |= set(fault.single)
            continue
        late = time.thread_time() > until
        if late:
            reason = f"checking its channels took more than {PROBING_S:.0f} s of the processor"
            fault = Fault(prunable(coupling, trace), reason)
        if not late and _next_choice(trace, fault, chosen):
            trace = trace_network(model, inputs, chosen)
        else:
            kept.append((fault.units, fault.reason))


def _stepped(coupling: Coupling, paired: set[str]) -> Coupling:
    """The same with even keep counts in coupling groups of these names, if their widths are even still."""
    groups = [
        replace(group, step=2 if group.name in paired and group.width % 2 == 0 else 1) for group in coupling.groups
    ]
    return replace(coupling, groups=tuple(groups))


def trace_network(model: nn.Module, inputs: BatchLike, chosen: Mapping[tuple[str, int], int]) -> Trace:
    """What one pass in evaluation mode tells, and one in training mode, where there is more to see.

    Raises:
        DataError: the network refuses the inputs.
    """
    inputs, trace = Batch.of(inputs), Trace(chosen=dict(chosen))
    with evaluating(model):
        try:
            if _pass(model, trace, inputs, lambda: inputs.call(model), "evaluation", None, _lifetimes(model, inputs)):
                _count_one(model, trace, inputs[:1])
        except CouplingError:
            raise
        except Exception as error:  # a forward may raise anything
            _run_untraced(model, inputs)
            return Trace(untraced=f"the forward pass cannot be traced: {_first_line(error)}")
    operations = len(trace.products)
    own = {name: tensor.detach().clone() for name, tensor in own_tensors(model).items()}
    state = own | {name: buffer.clone() for name, buffer in model.named_buffers() if name not in own}
    others = other_names(model)
    modes = {module: module.training for module in model.modules()}
    random = torch.random.get_rng_state()
    try:
        model.train()
        _pass(model, trace, inputs, lambda: call(model, state, others, *inputs.args, **inputs.kwargs), "training", own)
    except Exception as error:  # targets are wanted, say: what only training runs is then not seen
        logger.info("the network was not traced in training mode: %s", _first_line(error))
    finally:
        torch.random.set_rng_state(random)
        for module, mode in modes.items():
            module.training = mode
    del trace.products[operations:]
    return trace


def _lifetimes(model: nn.Module, inputs: Batch) -> Lifetimes:
    return Lifetimes([*model.parameters(), *model.buffers()], len(inputs))


def _run_untraced(model: nn.Module, inputs: Batch) -> None:
    """See whether it is the inputs that the network refuses."""
    try:
        with torch.no_grad():
            inputs.call(model)
    except Exception as error:  # a forward may raise anything
        raise DataError(
            f"the network refuses inputs {inputs}: {_first_line(error)}; give inputs as it was trained on, "
            f"several of them as mendsearch.Batch(a, b)"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _pass(
    model: nn.Module, trace: Trace, inputs: Batch, run: Callable[[], object], kind: str,
    tensors: Mapping[str, Tensor] | None, lifetimes: Lifetimes | None = None,
) -> bool:  # fmt: skip
    """Follow one pass; whether costs per item were guessed."""
    tracer = Tracer(model, trace, tensors, kind=kind, items=len(inputs), lifetimes=lifetimes)
    tracer.give(inputs)
    with tracer.following():
        outputs = run()
    for leaf in tensors_in(outputs):
        if leaf.is_inference():
            raise CouplingError(
                "the forward pass runs in torch.inference_mode(), where channels cannot be followed; take it out of "
                "the network, and use it around calls"
            )
        traced = tracer.get(leaf)
        if traced is not None:
            for units in traced.axes.values():
                trace.units.fix(units, OUTPUT)
            trace.units.settle(traced.debts)
    if lifetimes is not None:
        trace.lives = lifetimes.lives
    return tracer.guessed


def _count_one(model: nn.Module, trace: Trace, one: Batch) -> None:
    """Count products in a pass of one item, where grids, queries and the like are made within the pass."""
    alone = trace.fork(trace.places)
    try:
        _pass(model, alone, one, lambda: one.call(model), "evaluation", None, _lifetimes(model, one))
    except Exception as error:  # a forward may raise anything, of a batch of one too
        logger.info("costs were not counted for one item: %s", _first_line(error))
    if [product.layer for product in alone.products] == [product.layer for product in trace.products]:
        pairs = zip(trace.products, alone.products, strict=True)
        trace.products[:] = [replace(product, macs=single.macs) for product, single in pairs]
    if len(alone.lives) == len(trace.lives):
        for life, single in zip(trace.lives, alone.lives, strict=True):
            life.values = single.values


def _two(model: nn.Module, example: BatchLike) -> Batch:
    """Two items, on the network's device and in its dtype."""
    given = Batch.of(example)
    pair = given[:2] if len(given) > 1 else Batch.cat([given, given])
    return to_network(pair, model).to(memory_format=torch.contiguous_format)


def _excluded(model: nn.Module, exclude: tuple[str, ...]) -> dict[str, str]:
    """By layer, the pattern that names it."""
    layers = {layer_of(name) for name, tensor in own_tensors(model).items() if tensor.dim() > 1}
    found = {}
    for pattern in exclude:
        matching = [layer for layer in layers if fnmatchcase(layer, pattern)]
        if not matching:
            some = ", ".join(sorted(layers)[:5])
            raise CouplingError(f"exclude: {pattern!r} matches no layer; expected a name such as {some}")
        found.update(dict.fromkeys(matching, pattern))
    return found


def _units_of(trace: Trace, excluded: Mapping[str, str]) -> list[tuple[Ints, str]]:
    """Output channels of the excluded layers."""
    produced = np.zeros(trace.units.count, dtype=bool)
    for units in trace.produced:
        produced[units] = True
    return [
        (units[produced[units]], f"{EXCLUDED} (`{layer_of(name)}`)")
        for (name, _), units in trace.places.items()
        if layer_of(name) in excluded
    ]


def _next_choice(trace: Trace, fault: Fault, chosen: dict[tuple[str, int], int]) -> bool:
    """Take the next candidate of the views that split what is at fault; whether there was any."""
    component, _ = trace.units.components()
    blamed = set(component[fault.units].tolist())
    sites = {choice.site for choice in trace.choices.values() if blamed & set(component[choice.units].tolist())}
    moved = False
    for number, choice in trace.choices.items():
        out = chosen.get(number, 0)
        if out < len(choice.candidates) and choice.site in sites:
            chosen[number] = out + 1
            moved = True
    return moved
