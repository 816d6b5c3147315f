"""A small search, worked at through the very functions that a worker calls."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution, distribution_to_json

import mendstore

GROUPS = ("restore/a", "restore/b")


def register(database: mendstore.Database, name: str, trials: int) -> mendstore.Registered:
    """A search over two coupling groups."""
    return mendstore.register(
        database,
        name,
        trials=trials,
        distributions={group: distribution_to_json(IntDistribution(0, 8)) for group in GROUPS},
        fingerprint="f",
        spec={"name": name},
        versions={},
        starts=[],
    )


def work(url: str, name: str, spool: Path, trials: int = 3) -> mendstore.Queue:
    """Register a search and work at it till it is finished: claim, renew, give one back, claim it again, finish."""
    database = mendstore.Database(url)
    try:
        queue = mendstore.Queue(database, register(database, name, trials), "cpu", spool)
        gave_back, status = False, "claimed"
        while status == "claimed":
            proposal = (f"key-{queue.worker_id}", dict.fromkeys(GROUPS, 3.0))
            status, claims = queue.claim([proposal])
            for claim in claims:
                assert queue.renew() is False
                if not gave_back:
                    gave_back = True
                    queue.fail(claim, "tried", "its log")
                else:
                    assert queue.finish(result_of(claim)) == "recorded"
        assert status == "finished"
        _climb(database, queue, spool)
        queue.leave("finished")
        return queue
    finally:
        database.close()


def _climb(database: mendstore.Database, queue: mendstore.Queue, spool: Path) -> None:
    """Choose one finalist, and fine-tune it on one rung with two checkpoints, of which the first is removed."""
    tasks, file = mendstore.Tasks(database, queue, "recipe", None, spool), spool / "file"
    spool.mkdir(exist_ok=True)
    status, task = tasks.claim(["choose"])
    assert task is not None, status
    finalist = mendstore.ChosenFinalist("uniform", "key-1", {"a": 3}, -0.5)
    assert tasks.choose(task, [finalist], [{"part": 1.0, "places": 1}], 0.5) == "recorded"
    status, task = tasks.claim(["finetune"])
    assert task is not None, status
    for epoch in (1, 2):
        file.write_text(f"checkpoint {epoch} of {queue.search.name}")
        assert tasks.keep(task, file, epoch)
    file.write_text(f"weights of {queue.search.name}")
    assert tasks.finish(task, mendstore.Tuned(0.5, 0.0, 0.1), file) == "recorded"
    with pytest.raises(mendstore.StorageError, match="is not in this database"):
        tasks.fetch(hashlib.sha256(f"checkpoint 1 of {queue.search.name}".encode()).hexdigest(), file)
    assert tasks.claim(["choose", "finetune"]) == ("finished", None)


def result_of(claim: mendstore.Claim) -> mendstore.Result:
    """What a trial of that claim ends with."""
    return mendstore.Result(
        item_id=claim.item_id,
        state="COMPLETE",
        value=claim.number / 10,
        key=f"key-{claim.item_id}",
        params={group: float(value) for group, value in claim.params.items()},
        attrs={"host": "here", "nested": {"list": [1, 2.5, None]}},
        steps={"0": 0.25, "1": 0.5},
    )


def as_stock_optuna_sees_it(url: str) -> dict[str, Any]:
    """Every study of a database with all of its trials."""
    storage = optuna.storages.RDBStorage(mendstore.normalised(url), engine_kwargs={"pool_size": 1})
    try:
        seen = {}
        for study in optuna.get_all_study_summaries(storage):
            loaded = optuna.load_study(study_name=study.study_name, storage=storage)
            attributes = json.dumps(loaded.user_attrs, sort_keys=True)
            seen[study.study_name] = (loaded.directions, attributes, loaded.get_trials(deepcopy=False))
        return seen
    finally:
        storage.engine.dispose()
