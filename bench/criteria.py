"""Criteria side by side: `python bench/criteria.py`. Uniform structures of three networks at three rates, no training.

Agreement with the dense network on the validation images, by reconstruction in sequence and by the dense statistics
alone; the digits network, whose figures depend on its training, is the mean of five. Then the time to rank a ResNet-50.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from networks import Trained, digits, parser, trained
from rows import RESULTS, clocked
from torch import nn
from torchvision.models import resnet50

from mendsearch.config import Budget, ReconstructionName
from mendsearch.files import write_json
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.search import build_problem
from mendsearch.mending.weights import Weights
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import pre_prune
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import InputStatistics, input_statistics

BATCH = 128
RATES = (0.4, 0.2, 0.1)
SEEDS = range(5)
"""Of the trainings of the digits network."""
KINDS: tuple[ReconstructionName, ...] = ("sequence", "channels")


def compare(network: Trained) -> dict[str, Any]:
    """Score, that is agreement with the dense network, by rate, criterion and kind of reconstruction."""
    inputs = RankingInputs(network.model, network.coupling, network.statistics, network.calibration, 0)
    budgets = {rate: network.limits(rate) for rate in RATES}
    found: dict[str, Any] = {}
    for criterion in CRITERIA:
        ranking = CRITERIA[criterion].rank(inputs)
        for kind in KINDS:
            weights = Weights(network.model, network.coupling, ranking, network.statistics, network.calibration, kind)
            scorer = Scorer(weights, network.splits.validation[0], None)
            for rate, limits in budgets.items():
                counts = pre_prune("uniform", ranking, [], limits)
                score = scorer.refined_score(counts)
                found.setdefault(f"{rate:.0%}", {}).setdefault(criterion, {})[kind] = score
    return found


def mean(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several networks, with the single scores in sequence."""
    return {
        rate: {
            criterion: {
                kind: statistics.mean(table[rate][criterion][kind] for table in tables)
                for kind in tables[0][rate][criterion]
            }
            | {"networks": [table[rate][criterion]["sequence"] for table in tables]}
            for criterion in tables[0][rate]
        }
        for rate in tables[0]
    }


def rank_resnet50(count: int) -> dict[str, float]:
    """Seconds to rank a ResNet-50 at 224x224, forward passes apart, by the clock and of the processors."""
    torch.manual_seed(0)
    model, images = resnet50().eval(), torch.randn(count, 3, 224, 224)
    coupling = build_problem(model, images, Budget(macs=0.4)).coupling
    moments: dict[str, InputStatistics] = {}
    clocks = {
        "forward": clocked(lambda: forward(model, images)),
        "statistics": clocked(lambda: moments.update(input_statistics(model, coupling, images, BATCH))),
        "gram": clocked(lambda: CRITERIA["gram"].rank(RankingInputs(model, coupling, moments, images, 0))),
    }
    clock, cpu = ({name: taken[index] for name, taken in clocks.items()} for index in (0, 1))
    clock["statistics"] -= clock["forward"]
    cpu["statistics"] -= cpu["forward"]
    return clock | {f"{name}_cpu": taken for name, taken in cpu.items()}


@torch.no_grad()
def forward(model: nn.Module, images: torch.Tensor) -> None:
    """The passes that the statistics need."""
    for batch in images.split(BATCH):
        model(batch)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=512, help="of the ResNet-50")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    tables = {"digits resnet14": lambda: mean([compare(digits(14, seed)) for seed in SEEDS])} | {
        f"fashion {name}": lambda name=name: compare(trained(name, arguments.data))
        for name in ("resnet20", "mobilenetv2")
    }
    for name, table in tables.items():
        found[name] = table()
        for rate, rows in found[name].items():
            for criterion, row in rows.items():
                cells = "  ".join(f"{kind} {row[kind]:.4f}" for kind in KINDS)
                print(f"{name} {rate} {criterion:9} {cells}", flush=True)
    seconds = rank_resnet50(arguments.images)
    print("resnet50", seconds)
    write_json(
        RESULTS / "criteria.json",
        {
            "versions": versions(),
            "threads": arguments.threads,
            "images": arguments.images,
            "networks": found,
            "resnet50_seconds": seconds,
        },
    )


if __name__ == "__main__":
    main()
