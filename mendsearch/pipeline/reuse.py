"""What earlier runs have done already: dense weights, the ranking with its statistics, and trials.

A second budget, sampler or number of trials changes neither weights nor ranking. They are known by digests of all that
goes in: the spec's keys, the network's code and first weights, the data as the calibration and validation items show
them, and versions. Another fine-tuning does not change the trials either.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

import mendstore
from mendsearch.batches import Batch
from mendsearch.coupling.copying import bytes_of, state_of
from mendsearch.errors import UsageError
from mendsearch.files import read_json, write_whole
from mendsearch.fleet.compatibility import own_versions
from mendsearch.mending.search import Search
from mendsearch.pipeline.folder import different
from mendsearch.pipeline.run import Run

RUNS = Path("runs")
"""Folder in which runs are looked for, beside that of the run itself."""


def training_key(run: Run) -> str:
    """Key of the dense weights, before they are trained.

    Returns:
        a digest, equal where training would give the same weights.
    """
    spec, splits = run.spec, run.inputs.splits
    names = [spec.model.name, spec.data.name, spec.data.batch or "", spec.train.loss or ""]
    values = {
        "seed": spec.seed,
        "model": spec.model.model_dump(mode="json", exclude={"checkpoint"}),
        "data": spec.data.model_dump(mode="json", exclude={"path"}),
        "train": None if spec.model.checkpoint else spec.train.model_dump(mode="json"),
        "outputs": spec.score.model_dump(mode="json"),
        "items": len(splits.train),  # type: ignore[arg-type]  # map-style, checked by `split`
        "versions": _versions(*names),
    }
    held, labels = splits.validation
    return _digest(values, state_of(run.inputs.problem.model), splits.calibration, held, {"labels": labels})


def ranking_key(run: Run) -> str:
    """Key of the ranking and its statistics, once the network has its weights."""
    spec, problem = run.spec, run.inputs.problem
    values = {
        "seed": spec.seed,
        "criterion": spec.rank.criterion,
        "groups": [(group.name, group.width, group.layers) for group in problem.coupling.groups],
        "outputs": spec.score.model_dump(mode="json"),
        "versions": _versions(spec.model.name),
    }
    return _digest(values, state_of(problem.model), run.inputs.splits.calibration)


def reused(run: Run, stage: str, key: str, file: str, what: str) -> bool:
    """Take a file of a stage from an earlier run whose stage has the same key, and say so.

    Args:
        run: the run.
        stage: name of the stage.
        key: key of what the stage would make.
        file: name of its file, the same in every run folder.
        what: the file's content, in words.
    """
    for folder in _runs(run.folder.path):
        if _key_of(folder, stage) == key and (folder / file).is_file():
            write_whole(run.folder.path / file, partial(shutil.copyfile, folder / file))
            run.reporter.say(f"{what} of {folder} reused: they come from the same network, data and seed")
            return True
    return False


def trials_reused(
    run: Run, database: mendstore.Database, search: Search, spec: Mapping[str, Any]
) -> mendstore.Registered | None:
    """The search of an earlier run from which only the fine-tuning differs, the one with most trials, and say so.

    Args:
        run: the run.
        database: the study database.
        search: its search.
        spec: the spec as workers get it.

    Returns:
        None if there is none, or if the database has the run's own search already.
    """
    found: list[tuple[int, mendstore.Registered]] = []
    for other in mendstore.alike(database, search.fingerprint()):
        if other.name == run.spec.name:
            return None
        changed = [key for key in different(other.spec, spec) if key != "name"]
        if changed and all(key.startswith("finetune.") for key in changed):
            found.append((mendstore.progress(database, other.study_id)[0], other))
    done, earlier = max(found, key=lambda one: one[0], default=(0, None))
    if earlier is None or not done:
        return None
    taken = min(done, run.spec.mend.trials)
    run.reporter.say(f"{taken} trials of search `{earlier.name}` reused: only the fine-tuning differs")
    return earlier


def _key_of(folder: Path, stage: str) -> str | None:
    """Key of a stage of another run, or None; a damaged file of that run is none of ours."""
    try:
        found = read_json(folder / "stages.json")[stage]["key"]
    except (UsageError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _runs(own: Path) -> Iterator[Path]:
    """Other run folders, the latest first."""
    places = {path.resolve(): path for path in (RUNS, own.parent) if path.is_dir()}
    found = [folder for place in places.values() for folder in place.iterdir() if (folder / "stages.json").is_file()]
    for folder in sorted(found, key=lambda folder: -(folder / "stages.json").stat().st_mtime):
        if folder.resolve() != own.resolve():
            yield folder


def _versions(*names: str) -> dict[str, str]:
    return own_versions(*names) | {name: version(name) for name in ("mendsearch", "torch", "torchvision")}


def _digest(values: Mapping[str, Any], *parts: Batch | Mapping[str, Tensor | None]) -> str:
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for part in parts:
        if isinstance(part, Batch):
            digest.update(repr(part).encode())
            tensors: list[Tensor] = list(part.tensors)
        else:
            digest.update(repr(sorted(part)).encode())
            tensors = [tensor for _, tensor in sorted(part.items()) if tensor is not None]
        for tensor in tensors:
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(bytes_of(tensor))
    return digest.hexdigest()
