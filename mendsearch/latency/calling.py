"""`mendsearch.profile`: the latency profile of a network, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mendsearch.batches import Batch, BatchLike
from mendsearch.budget.profile import LatencyProfile
from mendsearch.coupling.copying import unwrapped
from mendsearch.errors import UsageError
from mendsearch.files import write_json
from mendsearch.latency.profiling import profile_network
from mendsearch.latency.runtimes import open_runtime
from mendsearch.latency.timers import Here
from mendsearch.modes import to_network
from mendsearch.progress import Reporter


def profile(
    model: nn.Module,
    example: BatchLike,
    *,
    runtime: str = "torch",
    batch: int = 1,
    threads: int = 1,
    dtype: str = "float32",
    exclude: Sequence[str] = (),
    minutes: float = 10,
    target: float = 0.05,
    out: Path | str | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> LatencyProfile:
    """Measure candidates of a network on this machine, for budgets in milliseconds: `Budget(latency_ms=8, profile=…)`.

    Args:
        model: the network; its weights do not matter, and it is not changed.
        example: inputs of the network, of one item or more, in the forms that `mend` takes for one batch.
        runtime: `torch`, `compile`, `onnxruntime` or `openvino`; after a colon a provider or device of it, as in
            `onnxruntime:CUDAExecutionProvider`.
        batch: items of a pass.
        threads: threads of a pass on a CPU. One thread is timed by the processor time that it takes, more by the clock.
        dtype: dtype of weights and inputs.
        exclude: layers that keep all their output channels; as in `PruneSpec.exclude` of the search.
        minutes: time for it; the first 16 candidates are measured however long they take.
        target: mean relative error on unseen candidates at which it stops before.
        out: file to write; none if None.
        seed: seed of the candidates.
        quiet: whether to write no progress to stderr.

    Returns:
        The profile.

    Raises:
        UsageError: the runtime is not installed, lacks an operator of the network, or the machine is too noisy.
    """
    if batch < 1:
        raise UsageError(f"profile: got batch={batch}, expected 1 or more")
    if not minutes > 0:
        raise UsageError(f"profile: got minutes={minutes:g}, expected more than 0")
    opened, model = open_runtime(runtime, threads, dtype), unwrapped(model)
    items = items_of(model, example, batch)
    reporter = Reporter(quiet=quiet)
    found = profile_network(
        model,
        items,
        Here(opened, model, items),
        exclude=exclude,
        seconds=60 * minutes,
        target=target,
        seed=seed,
        reporter=reporter,
    )
    if out is not None:
        write_json(Path(out), found.model_dump(mode="json"))
    return found


def items_of(model: nn.Module, example: BatchLike, batch: int) -> Batch:
    """So many items of an example, repeated where it has fewer, as inputs of a network."""
    given = to_network(example, model)
    return given[torch.arange(batch, device=given.tensors[0].device) % len(given)]
