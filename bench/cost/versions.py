"""Seconds to a network as good as an earlier version's, whose search had 100 trials. Resumable.

The earlier version is the commit before the ladder (`EARLIER`), in a worktree of its own. Each version searches in a
process of its own, by `mendsearch.mend` with its default settings, from the same dense network and images; today's with
several numbers of trials. Seconds are of one processor and of the whole call: ranking, trials and refining. Networks
are judged as they come back, before any fine-tuning, on the 10,000 test images. Of the ResNet-50, whose weights are
random, only time means anything.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from bench.files import ROOT, WORK, kept, read_figures, write_figures
from bench.networks import parser, trained
from mendsearch.pipeline.export import versions
from mendsearch.training.splits import gather

TAKES = "2 hours on one core"
EARLIER = "8f74938"
FOLDER = WORK / "versions"
NETWORKS = ("resnet20", "mobilenetv2", "resnet50")
RATES = (0.2, 0.1)
SEEDS = (0, 1, 2)
TRIALS = 100
TODAY = (6, 12, 25, 50)
"""Numbers of trials of today's version; the first six are the structures that every search starts with."""
LARGE = {"rate": 0.3, "trials": 6, "images": 64}
"""Of the search of the ResNet-50."""


def worktree() -> Path:
    """The earlier version's folder."""
    folder = FOLDER / EARLIER
    if not folder.is_dir():
        subprocess.run(["git", "worktree", "add", "--detach", folder, EARLIER], cwd=ROOT, check=True)
    return folder


def data_of(network: str, folder: str) -> Path:
    """A file with the dense network and its images."""
    file = FOLDER / f"{network}.safetensors"
    if file.is_file():
        return file
    FOLDER.mkdir(parents=True, exist_ok=True)
    if network == "resnet50":
        torch.manual_seed(0)
        model, images = resnet50().eval(), torch.randn(2, LARGE["images"], 3, 224, 224)  # type: ignore[call-overload]
        data = {"calibration": images[0].clone(), "validation": images[1].clone()}
    else:
        found = trained(network, folder)
        model, splits = found.model, found.splits
        test, labels = gather(splits.test, list(range(len(splits.test))))  # type: ignore[arg-type]
        data = {"calibration": found.calibration, "validation": splits.validation[0].tensor}
        data |= {"test": test.tensor, "labels": labels}
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file({name: tensor.contiguous() for name, tensor in (state | data).items()}, file)
    return file


def search(version: Path, network: str, file: Path, rate: float, trials: int, seed: int, threads: int) -> Any:
    """What `bench.cost.one_search` prints, of the version in a folder."""
    command = [sys.executable, "-P", ROOT / "bench/cost/one_search.py", network, file, "--rate", str(rate)]
    command += ["--trials", str(trials), "--seed", str(seed), "--threads", str(threads)]
    paths = os.pathsep.join(str(version / part) for part in ("", "storage", "dashboards"))
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def cell(network: str, rate: float, folder: str, threads: int, seeds: int) -> dict[str, Any]:
    """All searches of a network at a rate: of both versions, seed by seed."""
    file, earlier = data_of(network, folder), worktree()
    large = network == "resnet50"
    plan = [(earlier, "earlier", int(LARGE["trials"]) if large else TRIALS)]
    plan += [(ROOT, "today", trials) for trials in ((int(LARGE["trials"]),) if large else TODAY)]
    found: dict[str, Any] = {}
    for seed in SEEDS[: 1 if large else seeds]:
        for version, name, trials in plan:
            title = f"{name}, {trials} trials"
            work = partial(search, version, network, file, rate, trials, seed, threads)
            found.setdefault(title, []).append(kept(FOLDER / f"{network} {rate} {title} {seed}.json", work))
    return found


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """By row, means over seeds, and the earlier version's seconds over the row's."""
    means = {
        title: {key: round(statistics.mean(one[key] for one in runs), 4) for key in runs[0]}
        for title, runs in rows.items()
    }
    whole = next(row["seconds"] for title, row in means.items() if title.startswith("earlier"))
    return {title: row | {"times as fast": round(whole / row["seconds"], 2)} for title, row in means.items()}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--network", choices=NETWORKS, action="append", help="default: all")
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many; one of the ResNet-50")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    cells = (read_figures("versions") or {"cells": {}})["cells"]
    for network in given.network or NETWORKS:
        for rate in (LARGE["rate"],) if network == "resnet50" else RATES:
            rows, title = cell(network, rate, given.data, given.threads, given.seeds), f"{network}, {rate:.0%}"
            cells[title] = {"runs": rows, "means": summary(rows)}
            print(title, *(f"{name}: {row}" for name, row in cells[title]["means"].items()), sep="\n  ")
            write_figures("versions", {"threads": given.threads, "versions": versions(), "cells": cells})


if __name__ == "__main__":
    main()
