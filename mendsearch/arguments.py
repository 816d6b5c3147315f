"""The arguments of `mendsearch.mend`, checked before any work is done. Errors speak of them, not of a spec's keys."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import get_args

import optuna
import torch
from torch import Tensor, nn

from mendsearch.config import MOST_TRIALS, NAME, Budget, PruneSpec
from mendsearch.errors import BudgetError, DataError, ModelError, SpecError, UsageError
from mendsearch.importing import import_factory, is_import_path
from mendsearch.mending.judges import Metric

IN_ARGUMENTS = (
    (r"\[?\bscore\.outputs\b\]?", "score_outputs"),
    (r"\bprune\.(\w+)", r"prune=PruneSpec(\1)"),
    (r"\btrain\.loss and finetune\.loss\b", "a metric as `score`"),
    (r"\b(?:rank|mend)\.(criterion|sampler|reconstruction|score|early_stopping)\b", r"\1"),
    (r"\bmend\.trials\b", "n_trials"),
    (r"\bdata\.(calibration|validation)\b", r"\1_items"),
    (r"\bdocs/spec\.md lists the keys\b", "its docstring lists them"),
    (r"run the same command again", "make the same call again"),
)
"""Words of a spec or of the command line, and those of the call."""
LIMITS = {"seed": (0, 2**32 - 1), "calibration_items": (1, 10**9), "validation_items": (1, 10**9)}
"""Least and largest value of a whole number, by argument; others are numbers of trials."""


@contextmanager
def said_in_arguments() -> Iterator[None]:
    """Within the scope, what a `UsageError` says of a spec's keys is said of the arguments of a call."""
    try:
        yield
    except UsageError as error:
        text = str(error)
        for pattern, word in IN_ARGUMENTS:
            text = re.sub(pattern, word, text)
        if text == str(error):
            raise
        raise type(error)(text) from error


def check_call(model: object, budget: object, prune: object, name: object, whole: Mapping[str, object]) -> None:
    """Check the arguments that need no data.

    Args:
        model: the network.
        budget: the budget.
        prune: a `PruneSpec`, or None.
        name: name of the study.
        whole: arguments that are whole numbers, by name.

    Raises:
        UsageError: one of them cannot be meant.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: got {type(model).__name__}, expected a torch.nn.Module")
    if not isinstance(budget, Budget):
        raise BudgetError(f"budget: got {budget!r}, expected mendsearch.Budget(macs=…, params=…)")
    if prune is not None and not isinstance(prune, PruneSpec):
        raise UsageError(f"prune: got {prune!r}, expected mendsearch.PruneSpec(…)")
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise UsageError(f"name: got {name!r}, expected letters, digits, `.`, `_`, `-`, the first a letter or digit")
    for argument, value in whole.items():
        least, most = LIMITS.get(argument, (1, MOST_TRIALS))
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UsageError(f"{argument}: got {value!r}, expected a whole number from {least:,} to {most:,}")


def check_finetune(finetune: object) -> None:
    """Check a fine-tuning of the user's own.

    Raises:
        UsageError: it is neither None nor a function that takes (model, part, seed).
    """
    if finetune is None:
        return
    expected = "expected a function (model, part, seed) -> model"
    if not callable(finetune):
        raise UsageError(f"finetune: got {type(finetune).__name__}, {expected}")
    with suppress(ValueError):  # of what is built in, nothing is known
        signature = inspect.signature(finetune)
        try:
            signature.bind(None, 1.0, 0)
        except TypeError as error:
            raise UsageError(f"finetune: got a function {signature}, {expected}") from error


def check_seconds(seconds: object) -> None:
    """Check a time limit.

    Raises:
        UsageError: it is neither None nor a positive number.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds < math.inf):  # type: ignore[operator]
        raise UsageError(f"seconds: got {seconds!r}, expected a positive number, or None for no limit")


def check_functions(**given: object) -> None:
    """Check that arguments are functions, or None.

    Raises:
        UsageError: one is neither.
    """
    for name, value in given.items():
        if value is not None and not callable(value):
            raise UsageError(f"{name}: got {value!r}, expected a function, or None")


def check_flags(**given: object) -> None:
    """Check that arguments are true or false.

    Raises:
        UsageError: one is neither.
    """
    for name, value in given.items():
        if not isinstance(value, bool):
            raise UsageError(f"{name}: got {value!r}, expected True or False")


def check_kinds(score_outputs: object, calibration_groups: object, warm_start: object) -> None:
    """Check what kind of thing each of these arguments is, or that it is None.

    Raises:
        UsageError: it is another.
    """
    if score_outputs is not None and not isinstance(score_outputs, Mapping):
        raise UsageError(
            f"score_outputs: got {score_outputs!r}, expected a dict by output, such as {{'output': 'squared'}}; "
            f"`mendsearch inspect` names the outputs"
        )
    if isinstance(calibration_groups, str):
        raise UsageError(f"calibration_groups: got {calibration_groups!r}, expected a whole number for each item")
    if warm_start is not None and not isinstance(warm_start, optuna.Study):
        raise UsageError(
            f"warm_start: got {type(warm_start).__name__}, expected an Optuna study, such as `Pruned.study`"
        )


def check_choice(name: str, given: object, choices: object) -> None:
    """Check that an argument is one of the names of a `Literal`.

    Raises:
        UsageError: it is another.
    """
    allowed = get_args(choices)
    if given not in allowed:
        raise UsageError(f"{name}: got {given!r}, expected one of {', '.join(allowed)}")


def metric_of(score: object) -> tuple[str, Metric | None]:
    """The name of a score, and the metric if it is the user's own."""
    if callable(score):
        return f"{score.__module__}:{getattr(score, '__qualname__', type(score).__name__)}", score
    if score in ("agreement", "loss"):
        return str(score), None
    if isinstance(score, str) and is_import_path(score):
        return score, import_factory(score, SpecError)
    raise UsageError(f"score: got {score!r}, expected one of agreement, loss, package.module:function, or a function")


def groups_of(given: Tensor | Sequence[int] | None, items: int) -> Tensor | None:
    """Which calibration items belong together."""
    if given is None:
        return None
    groups = torch.as_tensor(given)
    if groups.shape != (items,) or groups.is_floating_point():
        kind = str(groups.dtype).removeprefix("torch.")
        raise DataError(
            f"calibration_groups: got shape {tuple(groups.shape)} {kind} for {items} items, expected integers "
            f"({items},); give no more than `calibration_items` items"
        )
    return groups.long()
