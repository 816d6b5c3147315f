"""The result of a search, and the controls to compare it with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from torch import Tensor, nn

from mendsearch.artifacts.folder import write_folder
from mendsearch.artifacts.structure import PrunedStructure
from mendsearch.coupling.surgery import build_pruned
from mendsearch.progress import shown
from mendstore.records import SIGNIFICANT, Timing, all_met


@dataclass(frozen=True, eq=False)
class Control:
    """A structure that needs no search, with weights made as those of the result.

    Attributes:
        keep_counts: number of channels kept, by coupling group.
        score: agreement with the dense network, as `Pruned.score`.
        macs: multiply-accumulates for one image.
        params: number of parameters.
    """

    keep_counts: Mapping[str, int]
    score: float
    macs: int
    params: int
    _dense: nn.Module = field(repr=False)
    _state: Mapping[str, Tensor] = field(repr=False)
    _sizes: Mapping[str, int] = field(repr=False)

    def model(self) -> nn.Module:
        """A new plain dense `nn.Module`, in evaluation mode."""
        return build_pruned(self._dense, self._state, self._sizes).eval()


@dataclass(frozen=True, eq=False)
class Pruned:
    """Result of a search.

    Attributes:
        model: plain dense `nn.Module` with fewer channels, in evaluation mode.
        keep_counts: number of channels kept, by coupling group.
        score: agreement with the dense network on the validation items, before any fine-tuning, with refined weights:
            reconstructed from all calibration items, which `model` has. Scores of `controls` compare with it.
        trial_score: score of the same structure in its trial, with weights from fewer items, as the study and `status`
            show it; None if no trial scored it. Scores of trials compare with it.
        macs: multiply-accumulates for one image.
        params: number of parameters.
        study: the Optuna study, with every trial.
        structure: which channels stay; `apply` prunes another copy of the dense network alike.
        chosen: the finalist that this is: `mended` and so on, or a control that turned out better.
        best: the finalist that is the best, whatever time it takes: another one than `chosen` where it is too slow.
        controls: structures to compare with, `uniform`, `pre_pruned`, `curves` and `random`, each with a network on
            demand.
        figure: what finalists were judged by on the validation items: `score` without fine-tuning; else `accuracy`,
            `agreement`, or the name of your metric.
        leads: by control that is another structure, and `best`, by how much this one is ahead in `figure`, item by item
            after equal fine-tuning, and the standard error.
        whole: by layer that keeps all its channels, why.
        timings: predicted and measured milliseconds of the finalists, by the names of the limits in time, `latency_ms`
            or `latency_ms.NAME`; nothing is measured where this machine is not that of the latency profile.
    """

    model: nn.Module
    keep_counts: Mapping[str, int]
    score: float
    trial_score: float | None
    macs: int
    params: int
    study: optuna.Study = field(repr=False)
    structure: PrunedStructure = field(repr=False)
    chosen: str
    best: str
    controls: Mapping[str, Control] = field(repr=False)
    figure: str
    leads: Mapping[str, tuple[float, float]] = field(repr=False)
    whole: Mapping[str, str] = field(repr=False)
    timings: Mapping[str, Timing] = field(repr=False)

    @property
    def met(self) -> bool | None:
        """Whether this network meets all limits in time, by measurement; None where that is not known."""
        return all_met(self.timings)

    @property
    def verdict(self) -> str:
        """Whether mending paid: who won, and by how much against the noise of the validation items, in a sentence."""
        if self.chosen != self.best:
            return f"{self.best} is the best in {self.figure} and too slow; {self._beside(self.best)}"
        if not self.chosen.startswith("mended") or not self.leads:
            return f"mending did not pay: {self.chosen} is the best in {self.figure}"
        return self._beside(min(self.leads, key=lambda name: self.leads[name]))

    @property
    def gave_way(self) -> bool:
        """Whether another finalist is better, beyond the noise of the validation items, and not fast enough."""
        if self.chosen == self.best:
            return False
        ahead, error = self.leads.get(self.best, (-math.inf, 0.0))
        return -ahead > SIGNIFICANT * error

    @property
    def mistimed(self) -> bool:
        """Whether latency models were wrong where it matters, as `RunResult.mistimed`."""
        return self.met is False or self.gave_way

    def _beside(self, name: str) -> str:
        if name not in self.leads:
            return f"{self.chosen} is taken"
        ahead, error = self.leads[name]
        side = "ahead of" if ahead > SIGNIFICANT * error else "behind" if -ahead > SIGNIFICANT * error else "level with"
        noise = SIGNIFICANT * error
        by = f"{shown(ahead, beside=noise, signed=True)} ± {shown(noise, beside=ahead)}"
        return f"{self.chosen} is {side} {name} in {self.figure}: {by}"

    def save(self, folder: str | Path, *, name: str | None = None, kwargs: Mapping[str, Any] | None = None) -> None:
        """Write the network to a folder, as it is now: with the weights of a fine-tuning that changed `model`.

        Args:
            folder: folder to write to, created if needed; files of an earlier network are replaced.
            name: name of the dense network, from which `load` can build it: a built-in name, `torchvision:NAME` or
                `package.module:factory`. Without it, `load` must be given the dense network.
            kwargs: keyword arguments of the network's factory.
        """
        figures = {"score": self.score, "macs": self.macs, "params": self.params}
        write_folder(folder, self.model, self.structure, name=name, kwargs=kwargs, figures=figures)
