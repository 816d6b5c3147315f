"""Pruned public networks as ONNX and `.pt2` files, run in a process that has neither mendsearch nor their code.

Writes `bench/results/exported.json` and `docs/results/export.md`. The networks are torchvision's, with random weights
and half of the channels of every coupling group, drawn at random.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.accuracy.support_networks import Network, networks
from bench.files import ROOT, read_figures, write_figures
from bench.without_code import run_without_code
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.nesting import tensors_in
from mendsearch.coupling.slicing import Slicer
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import MendsearchError
from mendsearch.exporting import Exported, export
from mendsearch.exporting.comparison import relative_difference
from mendsearch.files import write_text
from mendsearch.pipeline.export import versions

TAKES = "15 minutes"
NAMES = (
    "resnet18", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5",
    "efficientnet_b0", "regnet_x_400mf", "densenet121", "googlenet", "convnext_tiny", "swin_t",
    "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "r3d_18", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
FORMATS = ("onnx", "pt2")
ITEMS = 3
PAGE = """# Exported networks

`python -m bench.accuracy.exported`: networks of torchvision with random weights and half of the channels of every
coupling group, drawn at random. Each is exported, and its file is run on {items} images by `python -I` in a process
that cannot import mendsearch or torchvision; the ONNX file also without PyTorch. The difference is the largest one of
an output from the network's, relative to that output's largest value; ({items}): the file is for that many images
alone. PyTorch {torch}.

| network | images | ONNX: difference | MB | pt2: difference | MB |
|---|---|---|---|---|---|
{rows}
"""


def main() -> None:
    """Measure what has no row yet, and write figures and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="measure every network again")
    again = parser.parse_args().again
    torch.set_num_threads(1)
    rows: dict[str, Any] = {} if again else (read_figures("exported") or {"rows": {}})["rows"]
    for network in networks():
        if network.library == "torchvision" and network.name in NAMES and network.name not in rows:
            rows[network.name] = _measure(network)
            print(network.name, rows[network.name], flush=True)
            write_figures("exported", {"versions": versions(), "rows": rows})
    text = "\n".join(_row(name, rows[name]) for name in NAMES if name in rows)
    write_text(ROOT / "docs" / "results" / "export.md", PAGE.format(items=ITEMS, torch=versions()["torch"], rows=text))


def _measure(network: Network) -> dict[str, Any]:
    torch.manual_seed(0)
    images = torch.randn(ITEMS, *network.shapes[0])
    model = _halved(network.make().eval(), images)
    return {"shape": list(network.shapes[0])} | {kind: _file(model, images, kind) for kind in FORMATS}


def _halved(model: nn.Module, images: torch.Tensor) -> nn.Module:
    coupling = find_coupling(model, images)
    generator = np.random.default_rng(0)
    slicer = Slicer(model, coupling, [generator.permutation(width) for width in coupling.widths])
    state = slicer.slice((coupling.widths + 1) // 2)
    return build_pruned(model, state, slicer.sizes(state)).eval()


@torch.no_grad()
def _file(model: nn.Module, images: torch.Tensor, kind: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            written, fixed = _written(model, folder / f"net.{kind}", images)
            found = run_without_code(written.path, images, folder)
        except (MendsearchError, RuntimeError) as error:
            return {"refused": str(error)}
        pairs = zip(found, tensors_in(model(images)), strict=True)
        difference = max(relative_difference(left, right) for left, right in pairs)
        size = written.path.stat().st_size / 1e6
    return {"difference": float(f"{difference:.1g}"), "megabytes": round(size, 2)} | ({"fixed": True} if fixed else {})


def _written(model: nn.Module, path: Path, images: torch.Tensor) -> tuple[Exported, bool]:
    """For any number of images, or for these alone, and which of both."""
    try:
        return export(model, path, images[:2]), False
    except MendsearchError:
        return export(model, path, images, batch=len(images)), True


def _row(name: str, row: dict[str, Any]) -> str:
    cells = [name, "x".join(map(str, row["shape"]))]
    for kind in FORMATS:
        found = row[kind]
        if "refused" in found:
            cells += [found["refused"].replace("|", "/"), ""]
        else:
            fixed = f" ({ITEMS})" if found.get("fixed") else ""
            cells += [f"{found['difference']:.0e}{fixed}", f"{found['megabytes']}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
