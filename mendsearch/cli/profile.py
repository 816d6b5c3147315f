"""Times of a network on this machine, or on another: `profile`, `device`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

import mendstore
from mendsearch.cli.common import Json, SetKeys, Storage, existing_storage, guarded, storage_of
from mendsearch.cli.target import Name, Url, search_named
from mendsearch.errors import UsageError
from mendsearch.progress import Reporter
from mendstore.devices import LEASE_S

DEVICE_RUNTIME = "onnxruntime"


@guarded
def profile(
    target: Annotated[str, typer.Argument(metavar="MODEL|SPEC", help="Name of a network, or a spec file (TOML).")],
    runtime: Annotated[
        str | None,
        typer.Option(
            help="torch, compile, onnxruntime or openvino; after a colon a provider or device of it, as in "
            "onnxruntime:CUDAExecutionProvider. Default: torch; with --device, onnxruntime."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Items of a pass.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a pass on a CPU.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    minutes: Annotated[
        float, typer.Option(help="Time for it; the first 16 candidates are measured however long they take.")
    ] = 10,
    target_error: Annotated[
        float, typer.Option("--error", min=0, help="Mean error on unseen candidates at which it stops before.")
    ] = 0.05,
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="[NAME=]SHAPE[:DTYPE]", help="With MODEL: shape of one item, as in `inspect`."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="With MODEL: layer or pattern that keeps all its output channels.")
    ] = None,
    device: Annotated[
        bool,
        typer.Option(
            "--device",
            help="With SPEC: measure on another machine, where a device worker serves the spec's name (`device`).",
        ),
    ] = False,
    storage: Storage = None,
    wait: Annotated[
        float, typer.Option(min=0, help="With --device: minutes to wait while no device worker is there.")
    ] = 60,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("latency.json"),
    set_: SetKeys = None,
    as_json: Json = False,
) -> None:
    """Measure pruned networks, for budgets in milliseconds: budget.latency_ms and budget.profile.

    They are measured on this machine, or with --device on the one that a device worker runs on.
    """
    from mendsearch.pipeline.profiling import profile_named, profile_on_device

    if device:
        if input_ or exclude or dtype != "float32":
            raise UsageError("profile: got --input, --exclude or --dtype with --device, expected none of them")
        found = profile_on_device(
            target, set_ or [], mendstore.normalised(storage_of(storage)), runtime=runtime or DEVICE_RUNTIME,
            batch=batch, threads=threads, minutes=minutes, target=target_error, wait_minutes=wait, out=out,
            reporter=Reporter(),
        )  # fmt: skip
    else:
        found = profile_named(
            target, input_ or [], exclude or [], set_ or [], runtime=runtime or "torch", batch=batch, threads=threads,
            dtype=dtype, minutes=minutes, target=target_error, out=out,
        )  # fmt: skip
    if as_json:
        print(found.model_dump_json(indent=2))
        return
    setting, model = found.setting, found.model
    threads_said = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    print(f"{out}: {setting.runtime} on {setting.device}, batch {setting.batch}, {threads_said}, {setting.dtype}")
    print(f"dense: {found.dense_ms:.3g} ms; noise of the machine {found.noise:.1%}")
    print(
        f"{len(found.measured)} candidates in {found.seconds:.0f} s; on {model.held_out} unseen ones the model errs by "
        f"{model.error:.1%} (Kendall's tau {model.tau:.2f})"
    )
    if model.step > 1:
        print(f'widths in multiples of {model.step} are faster: prune.multiple = "auto" keeps to them where it can')
    if model.error > target_error:
        print(f"that error is above {target_error:.1%}: try more --minutes, on a machine that does nothing else")
    fastest = min(one.ms for one in found.measured)
    print(f"the fastest took {fastest:.3g} ms, {fastest / found.dense_ms:.0%} of the dense network's time")
    print(f'use it: --set \'budget={{latency_ms="{_asked(fastest / found.dense_ms)}", profile="{out}"}}\'')


def _asked(fastest: float) -> str:
    """A percentage of the dense network's time that can be reached: half of it, or half of the way to the fastest."""
    return f"{max(50, math.ceil(50 * (1 + fastest)))}%"


@guarded
def device(
    url: Url = None,
    name: Name = None,
    runtime: Annotated[
        str, typer.Option(help="onnxruntime or openvino; after a colon a provider or device of it.")
    ] = DEVICE_RUNTIME,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a pass on a CPU.")] = 1,
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds without a heartbeat before this worker is considered dead.")
    ] = LEASE_S,
    outage: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a database that cannot be reached.")
    ] = 86400,
) -> None:
    """Measure networks on this machine for the searches of a name, until it is stopped; it needs no PyTorch.

    It serves `profile --device` and the finalists of `run`, for NAME and names that begin with NAME and a hyphen, which
    are runs beside it. On Ctrl-C, SIGTERM or SIGUSR1 it gives back its work.
    """
    from mendsearch.latency.device import run_device

    given, name = search_named("device", url, name)
    url = mendstore.normalised(existing_storage("device", given))
    raise typer.Exit(run_device(url, name, runtime, threads, lease, outage, Reporter()))
