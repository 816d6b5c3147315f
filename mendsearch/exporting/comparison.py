"""Whether a file computes what the network computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError
from mendsearch.exporting.batches import Arguments, batch_of
from mendsearch.exporting.reasons import reason

BATCH_SIZES = (1, 2, 5)
"""Numbers of items on which outputs are compared."""
TOLERANCE = 1e-4
"""Largest difference of an output, relative to its largest value."""
REMEDY = "try the other format"

Runner = Callable[[Arguments], Sequence[Tensor]]
"""Runs the file, and gives its outputs in their order."""


@torch.no_grad()
def check(network: nn.Module, call: Arguments, run: Runner, what: str, sizes: Sequence[int] = BATCH_SIZES) -> float:
    """Compare a file's outputs with a network's, for several batch sizes.

    Args:
        network: in evaluation mode, on the CPU.
        call: an example of its arguments.
        run: runs the file.
        what: its name, for messages.
        sizes: the numbers of items.

    Returns:
        the largest difference, relative to the largest value of its output.

    Raises:
        ModelError: the file does not run, or computes something else.
    """
    largest = 0.0
    for items in sizes:
        batch = batch_of(call, items)
        args, kwargs = batch
        expected = [tensor.detach() for tensor in tensors_in(network(*args, **kwargs))]
        try:
            found = run(batch)
        except Exception as error:  # runtimes have errors of their own
            raise ModelError(f"export: {what} does not run for {items} items: {reason(error)}; {REMEDY}") from error
        shapes, wanted = [tuple(t.shape) for t in found], [tuple(t.shape) for t in expected]
        if shapes != wanted:
            raise ModelError(f"export: {what} gives {shapes} for {items} items, expected {wanted}; {REMEDY}")
        for number, (left, right) in enumerate(zip(found, expected, strict=True)):
            difference = relative_difference(left, right)
            if not difference <= TOLERANCE:
                raise ModelError(
                    f"export: output {number} of {what} differs by {difference:.1g} of its largest value for {items} "
                    f"items, expected at most {TOLERANCE:g}; {REMEDY}"
                )
            largest = max(largest, difference)
    return largest


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference of two tensors of a shape, relative to the largest value of the second.

    Values that are not finite have to be the same; otherwise it is infinite.
    """
    if not expected.numel():
        return 0.0
    left, right = found.double(), expected.double()
    finite = right.isfinite()
    if not torch.equal(left.isfinite(), finite) or not torch.equal(
        left[~finite].nan_to_num(0.0, 1.0, -1.0), right[~finite].nan_to_num(0.0, 1.0, -1.0)
    ):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = float((left[finite] - right[finite]).abs().max())
    return difference / max(float(right[finite].abs().max()), 1e-12) if difference else 0.0
