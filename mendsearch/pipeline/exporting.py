"""The network of a finished run as a file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mendsearch.artifacts import load
from mendsearch.artifacts.folder import read_folder
from mendsearch.artifacts.inputs import example_of
from mendsearch.errors import ModelError
from mendsearch.exporting import Format, export
from mendsearch.importing import is_import_path
from mendsearch.models.registry import build_model


def export_run(
    folder: Path, format: Format, out: Path | None, model: str | None, batch: int | None = None
) -> dict[str, Any]:
    """Export the network of a run folder, or of a folder that `save` wrote.

    Args:
        folder: the folder.
        format: `onnx` or `pt2`.
        out: file to write; `model.onnx` or `model.pt2` in the folder if it is None.
        model: import path of the dense network's factory. Only the user may name one: importing runs code.
        batch: number of items that the file takes; any if it is None.

    Returns:
        JSON values: `path`, `format`, `inputs`, `outputs`, `batch_sizes`, `difference` (see `Exported`), `bytes`.

    Raises:
        ModelError: the folder holds no network, or it cannot be exported.
    """
    saved = read_folder(folder)
    name = saved.name if model is None else model
    if name is None or (model is None and is_import_path(name)):
        what = f"got the import path {name}, which a folder must not run" if name else "got no name of the network"
        raise ModelError(f"export {folder}: {what}; try --model {name or 'package.module:factory'}")
    if not saved.structure.inputs:
        raise ModelError(
            f"export {folder}: got no shape of the network's inputs; try mendsearch.export(model, path, example)"
        )
    network = load(folder, build_model(name, saved.kwargs) if model else None)
    path, example = out or folder / f"model.{format}", example_of(saved.structure.inputs)
    written = export(network, path, example, format=format, batch=batch)
    return {
        "path": str(written.path),
        "format": written.format,
        "inputs": list(written.inputs),
        "outputs": list(written.outputs),
        "batch_sizes": list(written.batch_sizes),
        "difference": written.difference,
        "bytes": written.path.stat().st_size,
    }
