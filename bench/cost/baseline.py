"""`mendsearch.mend` against the search that a user would write with Optuna and Torch-Pruning. Resumable.

ResNet-20 on Fashion-MNIST; storage is left out. The user's search is stock `study.optimize` in memory. A trial chooses
the fraction of channels to remove from every coupling group, deep-copies the network, prunes the copy with
Torch-Pruning by magnitude, recalibrates its batch norms over 100 batches of a DataLoader, and returns the accuracy on
the whole validation split. A structure over the budget ends its trial before any pass. Ours is `mendsearch.mend` with
its defaults.

Measured are seconds per trial at equal images (100 batches of 128 and 2,000 validation images on both sides, ours by
kind `channels`), and seconds to a structure of equal accuracy after fine-tuning: ours after a few trials, the user's
after `--seconds`.
"""

from __future__ import annotations

import copy
import statistics
import time
from typing import Any

import optuna
import torch
import torch_pruning as tp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mendsearch
import mendsearch.mending.scoring as scoring_module
from bench.files import WORK, kept, write_figures
from bench.networks import Trained, parser, trained
from bench.rows import clocked
from mendsearch.config import FinetuneSpec
from mendsearch.mending.scoring import Scorer
from mendsearch.mending.weights import Weights
from mendsearch.pipeline.export import versions
from mendsearch.prepruning import pre_prune
from mendsearch.training.splits import batches

TAKES = "10 minutes"
RATE = 0.2
BATCHES = 100
FINETUNE = FinetuneSpec(epochs=1, images=20000, learning_rate=0.03, distillation=0.5)
SEEDS = (0, 1)
ROUNDS = 5
TRIALS = 5
"""Trials of our search: little more than the structures of the error curves."""


class UserSearch:
    """A search as the tutorials of the two libraries show it.

    Args:
        network: the trained network and its data.
        budget_macs: most MACs that the pruned network may have.
    """

    def __init__(self, network: Trained, budget_macs: float) -> None:
        self.model, self.budget = network.model, budget_macs
        self.example = network.calibration[:1]
        self.train = network.splits.train
        images, labels = network.splits.validation
        self.validation = DataLoader(TensorDataset(images.tensor, labels), batch_size=500)

    def pruned(self, trial: optuna.Trial) -> nn.Module:
        """A copy, pruned by magnitude. Raises `TrialPruned` if it costs more than the budget."""
        model = copy.deepcopy(self.model)
        modules = dict(model.named_modules())
        ratios = {modules[name]: trial.suggest_float(name, 0.0, 0.9) for name in self.groups()}
        pruner = tp.pruner.MagnitudePruner(
            model,
            self.example,
            importance=tp.importance.MagnitudeImportance(p=1),
            pruning_ratio_dict=ratios,
            pruning_ratio=0.0,
            ignored_layers=[model.fc],
        )
        pruner.step()
        macs, _ = tp.utils.count_ops_and_params(model, self.example)
        if macs > self.budget:
            raise optuna.TrialPruned
        return model

    def groups(self) -> list[str]:
        """One layer of each coupling group."""
        return [f"layer{s}.{b}.conv1" for s in (1, 2, 3) for b in (0, 1, 2)] + [
            "conv1",
            "layer2.0.conv2",
            "layer3.0.conv2",
        ]

    @torch.no_grad()
    def recalibrate(self, model: nn.Module) -> None:
        """Estimate batch-norm statistics from 100 batches in training mode."""
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        model.train()
        for index, (inputs, _) in enumerate(batches(self.train, 128, shuffle_seed=0)):
            if index == BATCHES:
                break
            inputs.call(model)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1
        model.eval()

    @torch.no_grad()
    def score(self, model: nn.Module) -> float:
        """Accuracy on the validation split."""
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in self.validation)
        return right / len(self.validation.dataset)  # type: ignore[arg-type]

    def __call__(self, trial: optuna.Trial) -> float:
        """The objective."""
        model = self.pruned(trial)
        self.recalibrate(model)
        return self.score(model)


def equal_images(network: Trained) -> dict[str, float]:
    """Seconds per trial of both sides, with 12,800 calibration and 2,000 validation images and one uniform structure.

    Medians over rounds in which the sides take turns; wall-clock and processor time.
    """
    calibration = network.splits.train
    images = torch.stack([calibration[i][0] for i in range(128 * BATCHES)])
    scoring_module.TRIAL_IMAGES = len(network.splits.validation[0])
    weights = Weights(network.model, network.coupling, network.ranking, network.statistics, images, "channels")
    scorer = Scorer(weights, *network.splits.validation)
    limits = network.limits(RATE)
    counts = pre_prune("uniform", network.ranking, [], limits)
    user = UserSearch(network, limits.absolute["macs"])
    uniform = optuna.trial.FixedTrial(dict.fromkeys(user.groups(), 0.55))
    sides = {"user": lambda: user(uniform), "ours": lambda: scorer.score(counts)}
    rounds = [{side: clocked(trial) for side, trial in sides.items()} for _ in range(ROUNDS + 1)]
    found: dict[str, float] = {}
    for clock, suffix in enumerate(("", "_cpu")):
        for side in sides:  # the first round warms PyTorch up
            found[side + suffix] = statistics.median(taken[side][clock] for taken in rounds[1:])
        found["ratio" + suffix] = found["user" + suffix] / found["ours" + suffix]
    return found


def theirs(network: Trained, seconds: float) -> dict[str, Any]:
    """The user's search for `seconds`, and its best structure, fine-tuned."""
    limits = network.limits(RATE)
    user = UserSearch(network, limits.absolute["macs"])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(dict.fromkeys(user.groups(), 0.55))  # a user starts from the uniform structure
    started = time.perf_counter()
    study.optimize(user, timeout=seconds)
    spent = time.perf_counter() - started
    states = [trial.state.name for trial in study.trials]
    model = user.pruned(optuna.trial.FixedTrial(study.best_params))
    user.recalibrate(model)
    macs, _ = tp.utils.count_ops_and_params(model, user.example)
    return {
        "seconds": spent,
        "scored": states.count("COMPLETE"),
        "over_budget": states.count("PRUNED"),
        "score": study.best_value,
        "macs": macs,
        "finetuned": network.finetuned(model, FINETUNE, SEEDS),
    }


def ours(network: Trained) -> dict[str, Any]:
    """One call of `mendsearch.mend`, ranking included, and its network, fine-tuned."""
    started = time.perf_counter()
    pruned = mendsearch.mend(
        network.model,
        calibration=network.calibration,
        validation=network.splits.validation[0],
        budget=mendsearch.Budget(macs=RATE),
        n_trials=TRIALS,
        quiet=True,
    )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "macs": pruned.macs, "finetuned": network.finetuned(pruned.model, FINETUNE, SEEDS)}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=180, help="duration of the user's search")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    network = trained("resnet20", arguments.data)
    parts = {"equal images": lambda: equal_images(network)}
    parts |= {f"ours, {TRIALS} trials": lambda: ours(network)}
    parts |= {f"user, {arguments.seconds:.0f} s": lambda: theirs(network, arguments.seconds)}
    found = {}
    for name, part in parts.items():
        found[name] = kept(WORK / "baseline" / f"{name.replace(' ', '-')}.json", part)
    write_figures("baseline", {"versions": versions(), "threads": arguments.threads, "rate": RATE, "found": found})


if __name__ == "__main__":
    main()
