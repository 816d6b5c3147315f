"""Times of a network on this machine: `profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mendsearch.cli.common import Json, SetKeys, guarded


@guarded
def profile(
    target: Annotated[str, typer.Argument(metavar="MODEL|SPEC", help="Name of a network, or a spec file (TOML).")],
    runtime: Annotated[
        str, typer.Option(help="torch, compile, onnxruntime, or onnxruntime:PROVIDER such as CUDAExecutionProvider.")
    ] = "torch",
    batch: Annotated[int, typer.Option(min=1, help="Items of a pass.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a pass on a CPU.")] = 1,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    minutes: Annotated[float, typer.Option(help="Time for it, at most.")] = 10,
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
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("latency.json"),
    set_: SetKeys = None,
    as_json: Json = False,
) -> None:
    """Measure pruned networks on this machine, for budgets in milliseconds: budget.latency_ms and budget.profile."""
    from mendsearch.pipeline.profiling import profile_named

    found = profile_named(
        target, input_ or [], exclude or [], set_ or [],
        runtime=runtime, batch=batch, threads=threads, dtype=dtype, minutes=minutes, target=target_error, out=out,
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
        f"{model.error:.1%} (Kendall's tau {model.tau:.2f}); step {model.step}"
    )
    print(f'use it: --set \'budget={{latency_ms="50%", profile="{out}"}}\'')
