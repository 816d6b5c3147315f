"""P-, R- and O-Net with their own weights at 60% of the MACs, on photographs not seen. Resumable.

No training, no labels. How far probabilities and boxes are from the dense network's; uniform, pre-pruned and random
structures beside the mended one. Writes `bench/results/faces.json` and `docs/results/faces.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_iou

import mendsearch
from bench.accuracy import mtcnn, photographs
from bench.accuracy.faces_page import page
from bench.accuracy.torch_pruning_peer import WAYS, pruned_by_peer
from bench.files import ROOT, WORK, kept, write_figures
from mendsearch.config import Budget, MendSpec, PruneSpec
from mendsearch.files import write_text
from mendsearch.mending.random import random_structures
from mendsearch.mending.search import Search, build_problem, rank_channels
from mendsearch.pipeline.export import versions
from mendsearch.progress import Reporter

TAKES = "10 minutes on one core"
RATE, TRIALS, RANDOM = 0.6, 60, 4
PARTS = (0.6, 0.75)
"""Where the calibration photographs end and those of the test begin; those between score the trials."""
FACES = ("astronaut", "messi5")
"""Photographs with a face; they are in the test."""
CROPS, SIDE, EACH = (512, 300), 96, 12
"""Crops for calibration and scores, pixels of P-Net's, and proposals of a photograph for the other two."""
LOOKED_AT = 0.3
"""Probability from which P-Net's proposals are shown to the other two here, so that there are many of both kinds."""
SIDES, DECIDES = {"R-Net": 24, "O-Net": 48}, {"P-Net": 0.6, "R-Net": 0.7, "O-Net": 0.7}
OUTPUTS: dict[str, dict[str, str]] = {"P-Net": {}, "R-Net": {}, "O-Net": {"1": "squared"}}
"""What is not guessed: landmarks lie from 0 to 1, as if they were decisions."""
SOURCE = WORK / "photographs"


class Data:
    """Inputs of one network, and what its pruned forms are compared by."""

    def __init__(self, name: str, stages: dict[str, nn.Module], pictures: dict[str, Image.Image]) -> None:
        self.name, self.dense, pnet = name, stages[name], stages["P-Net"]
        order = [list(pictures)[i] for i in np.random.default_rng(0).permutation(len(pictures))]
        faces = [key for key in order if any(part in key for part in FACES)]
        rest = [key for key in order if key not in faces]
        ends = [int(part * len(rest)) for part in PARTS]
        parts = [[pictures[key] for key in keys] for keys in (rest[: ends[0]], rest[ends[0] : ends[1]])]
        self.test = [pictures[key] for key in [*rest[ends[1] :], *faces]]
        self.photographs = [*map(len, parts), len(self.test)]
        if name == "P-Net":
            half = (0.5,) * 3
            self.calibration, self.validation = (
                photographs.crops(part, count, SIDE, half, half, seed).images
                for seed, (part, count) in enumerate(zip(parts, CROPS, strict=True))
            )
            self.wanted = [mtcnn.maps_of(self.dense, picture) for picture in self.test]
        else:
            seen = [mtcnn.crops(pnet, part, SIDES[name], EACH, LOOKED_AT) for part in (*parts, self.test)]
            self.calibration, self.validation, self.crops = seen[0][: CROPS[0]], seen[1][: CROPS[1]], seen[2]

    @torch.no_grad()
    def judge(self, model: nn.Module) -> dict[str, Any]:
        """How far a network is from the dense one on the test photographs."""
        if self.name != "P-Net":
            (*regressions, likely), (*right, wanted) = model(self.crops), self.dense(self.crops)
            numbers = [torch.cat([part.flatten(1) for part in parts], 1) for parts in (regressions, right)]
            return self._agreed(likely[:, 1], wanted[:, 1], *numbers)
        found = [mtcnn.maps_of(model, picture) for picture in self.test]
        likely, wanted = (torch.cat([m[2].flatten() for maps in side for m in maps]) for side in (found, self.wanted))
        boxes = [torch.cat([m[1].flatten(1).T for maps in side for m in maps]) for side in (found, self.wanted)]
        pairs = [tuple(map(mtcnn.proposals, pair)) for pair in zip(found, self.wanted, strict=True)]
        matched = [_matched(*pair) for pair in pairs]
        total = sum(len(left) + len(right) for left, right in pairs)
        return self._agreed(likely, wanted, *boxes) | {"boxes": 2 * sum(matched) / total, "proposed": total}

    def _agreed(self, likely: Tensor, wanted: Tensor, found: Tensor, right: Tensor) -> dict[str, Any]:
        here, there = likely >= DECIDES[self.name], wanted >= DECIDES[self.name]
        return {
            "decisions": len(here),
            "yes": int(there.sum()),
            "same": float((here == there).double().mean()),
            "kept": float((here & there).sum() / (here | there).sum()),
            "difference": float((likely - wanted).abs().mean()),
            "regressions": float((found - right)[there].abs().mean()),
        }


def _matched(left: Tensor, right: Tensor) -> int:
    """Boxes of one set with one in the other at an IoU of 0.5 or more, each used once."""
    if not len(left) or not len(right):
        return 0
    overlaps, count = box_iou(left[:, :4], right[:, :4]), 0
    for row in range(len(left)):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= 0.5:
            count, overlaps[:, best] = count + 1, 0
    return count


def measured(data: Data, searches: int) -> dict[str, dict[str, Any]]:
    """All rows of one network."""
    problem = build_problem(data.dense, data.calibration, Budget(macs=RATE), PruneSpec(), OUTPUTS[data.name])
    ranking, inputs = rank_channels(problem, data.calibration, "gram", 0, Reporter(quiet=True))
    search = Search(
        problem, ranking, inputs, calibration=data.calibration, validation=data.validation, labels=None,
        prune=PruneSpec(), mend=MendSpec(),
    )  # fmt: skip
    works: dict[str, Callable[[], nn.Module]] = {
        f"mended {seed}": lambda seed=seed: mended(data, seed) for seed in range(searches)
    }
    controls = {"pre-pruned": search.pre_pruned, "uniform": search.uniform}
    controls |= {f"random {i}": counts for i, counts in enumerate(random_structures(search.space, RANDOM, seed=0))}
    works |= {name: lambda counts=counts: search.scorer.build(counts) for name, counts in controls.items()}
    works |= {
        f"Torch-Pruning, {way}": lambda way=way: pruned_by_peer(data.dense, data.calibration, RATE, WAYS[way])
        for way in WAYS
    }
    folder = WORK / "faces"
    return {
        name: kept(
            folder / f"{data.name}-{name.replace(', ', '-').replace(' ', '-')}.json", lambda w=work: row(data, w())
        )
        for name, work in works.items()
    }


def mended(data: Data, seed: int) -> nn.Module:
    """The network of one call of `mendsearch.mend`."""
    return mendsearch.mend(
        data.dense,
        calibration=data.calibration,
        validation=data.validation,
        budget=mendsearch.Budget(macs=RATE),
        score_outputs=OUTPUTS[data.name],
        n_trials=TRIALS,
        seed=seed,
        quiet=True,
    ).model


def row(data: Data, model: nn.Module) -> dict[str, Any]:
    """What is measured of one network."""
    return {"params": sum(parameter.numel() for parameter in model.parameters()), **data.judge(model)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=3, help="seeds of the search")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photographs.fetch(SOURCE)
    pictures, stages = photographs.photographs(SOURCE), mtcnn.stages(SOURCE)
    settings = {"rate": RATE, "trials": TRIALS, "searches": arguments.searches, "random": RANDOM}
    found: dict[str, Any] = {}
    for name in stages:
        data = Data(name, stages, pictures)
        found[name] = {
            "photographs": data.photographs,
            "items": [len(data.calibration), len(data.validation)],
            "rows": measured(data, arguments.searches),
        }
        write_figures("faces", {"versions": versions(), "settings": settings, "networks": found})
        write_text(ROOT / "docs" / "results" / "faces.md", page(found, settings))


if __name__ == "__main__":
    main()
