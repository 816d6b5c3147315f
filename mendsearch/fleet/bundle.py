"""The bundle of a search: what a worker elsewhere needs to build it, uploaded to the database and downloaded again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mendstore
from mendsearch.budget import read_profiles
from mendsearch.config import ScoreSpec, Spec, parse_spec
from mendsearch.coupling.copying import load_state, state_of
from mendsearch.errors import UsageError
from mendsearch.files import read_metadata
from mendsearch.fleet.compatibility import check_allowed, check_versions, own_versions
from mendsearch.fleet.inputs import flattened, restored
from mendsearch.fleet.tensors import pack, unpack
from mendsearch.mending.search import Search, build_problem
from mendsearch.models.registry import build_model
from mendsearch.outputs import Wishes
from mendsearch.progress import Reporter
from mendsearch.ranking.codec import from_tensors, to_tensors
from mendstore.blobs import Blobs

CALIBRATION, VALIDATION, LABELS = "calibration", "validation", "labels"
Part = tuple[dict[str, Tensor], dict[str, str]]
"""Tensors and metadata of a file."""


def portable_spec(spec: Spec, kwargs: Mapping[str, Any], outputs: Wishes) -> dict[str, Any]:
    """The spec as workers get it, without any path of this machine.

    Args:
        spec: the spec of the run.
        kwargs: complete arguments of the network's factory.
        outputs: what the user and the labels say of the network's outputs; workers may have no labels.
    """
    model = spec.model.model_copy(update={"kwargs": dict(kwargs), "checkpoint": None})
    data = spec.data.model_copy(update={"path": None})
    profiles = {name: found.short.model_dump(mode="json") for name, found in read_profiles(spec.budget).items()}
    budget = spec.budget.with_profiles(profiles)
    score = ScoreSpec.model_validate({"outputs": dict(outputs)})
    return spec.model_copy(update={"model": model, "data": data, "budget": budget, "score": score}).model_dump(
        mode="json"
    )


def upload(
    database: mendstore.Database,
    registered: mendstore.Registered,
    search: Search,
    store: str | None,
    reporter: Reporter,
) -> None:
    """Put weights, ranking with its statistics, and inputs where every worker of the search finds them.

    Args:
        database: the study database.
        registered: the search as the database holds it.
        search: the search, from which the bundle is made.
        store: URL of a folder for blobs that are too large for the database; see `mendstore.blobs.Blobs`.
        reporter: where progress goes.

    Raises:
        mendstore.StorageError: the database or the store cannot be used, or a blob needs a store.
    """
    blobs, parts, digests = Blobs(database, store=store), _parts(search), {}
    with reporter.stage("upload", len(parts)) as stage, tempfile.TemporaryDirectory() as folder:
        for role, (tensors, metadata) in parts.items():
            path = Path(folder) / f"{role}.safetensors"
            pack(path, tensors, metadata)
            digests[role] = blobs.put(path)
            stage.advance(f"{role}: {path.stat().st_size / 2**20:.1f} MiB")
            path.unlink()
    mendstore.name_blobs(database, registered, digests)


def _parts(search: Search) -> dict[str, Part]:
    """By role, the tensors and the metadata of a file."""
    calibration, validation, labels = search.data
    tensors, forms = {} if labels is None else {LABELS: labels}, {}
    for name, batch in ((CALIBRATION, calibration), (VALIDATION, validation)):
        own, forms[name] = flattened(name, batch)
        tensors |= own
    return {
        "weights": (state_of(search.problem.model), {}),
        "ranking": (to_tensors(search.ranking, search.statistics), {}),
        "inputs": (tensors, forms),
    }


def download(
    database: mendstore.Database, registered: mendstore.Registered, allow: Iterable[str], reporter: Reporter
) -> tuple[Spec, Search]:
    """Build the search as its creator did, from the database alone.

    Args:
        database: the study database.
        registered: the search as the database holds it.
        allow: packages that may be imported for the network and the metric.
        reporter: where progress goes.

    Raises:
        UsageError: versions, code, or the search as built here differ from the creator's, or an import is not allowed.
        mendstore.StorageError: the database or the store cannot be used.
    """
    if not registered.blobs:
        raise UsageError(
            f"search `{registered.name}` was made for one process; on its machine, run it again with --workers N, or "
            f"register it by `create`"
        )
    spec = parse_spec(registered.spec, origin=f"of search `{registered.name}`")
    names, allow = (spec.model.name, spec.mend.score), list(allow)
    for imported in names:
        check_allowed(imported, allow)
    check_versions(registered.versions, own_versions(*names))
    blobs, parts = Blobs(database), dict[str, Part]()
    with reporter.stage("download", len(registered.blobs)) as stage:
        for role, digest in registered.blobs.items():
            path = blobs.fetch(digest)
            parts[role] = unpack(path), read_metadata(path)
            stage.advance(role)
    search = _search(spec, parts)
    if search.fingerprint() != registered.fingerprint:
        raise UsageError(
            f"search `{registered.name}` comes out other here than at its creator, so scores would not compare; "
            f"install the same versions of torch, torchvision and numpy"
        )
    return spec, search


def _search(spec: Spec, parts: Mapping[str, Part]) -> Search:
    model = build_model(spec.model.name, spec.model.kwargs)
    load_state(model, parts["weights"][0])
    if torch.cuda.is_available():
        model.cuda()
    tensors, forms = parts["inputs"]
    calibration, validation = (restored(tensors, forms[name]) for name in (CALIBRATION, VALIDATION))
    problem = build_problem(model.eval(), calibration, spec.budget, spec.prune, spec.score.outputs)
    device = next(model.parameters()).device
    ranking, statistics = from_tensors(parts["ranking"][0], spec.rank.criterion, device)
    return Search(
        problem,
        ranking,
        statistics,
        calibration=calibration,
        validation=validation,
        labels=tensors.get(LABELS),
        prune=spec.prune,
        mend=spec.mend,
    )
