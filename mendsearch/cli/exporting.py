"""A network for other programs: `export`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mendsearch.cli.common import Json, guarded
from mendsearch.errors import UsageError


class Format(StrEnum):
    """Formats of files."""

    onnx = "onnx"
    pt2 = "pt2"


@guarded
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a folder that mendsearch.save wrote.")],
    format_: Annotated[
        Format, typer.Option("--format", help="onnx, for ONNX Runtime and others; pt2, for PyTorch without the code.")
    ] = Format.onnx,
    out: Annotated[Path | None, typer.Option(help="File to write. Default: RUN/model.onnx or RUN/model.pt2.")] = None,
    model: Annotated[
        str | None, typer.Option(help="package.module:factory of the dense network, if RUN names such a one.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Number of items that the file takes. Default: any number.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export the network of a finished run, and check that the file computes the same."""
    from mendsearch.pipeline.exporting import export_run

    if out is not None and out.is_dir():
        raise UsageError(f"export: got the folder {out} for --out, expected a file, such as {out / f'model.{format_}'}")
    written = export_run(run, format_.value, out, model, batch)
    if as_json:
        print(json.dumps(written, indent=2))
        return
    inputs, outputs, sizes = (", ".join(map(str, written[key])) for key in ("inputs", "outputs", "batch_sizes"))
    print(f"{written['path']}: {inputs} -> {outputs}; {written['bytes']:,} bytes")
    difference = f"{written['difference']:.1g} of the largest output"
    print(f"as the network, in batches of {sizes}: largest difference {difference}")
