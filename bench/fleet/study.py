"""The same search for both sides of a benchmark: in our queue, and as a study of stock Optuna."""

from __future__ import annotations

import json
import random
import uuid
import warnings
from typing import Any

import optuna
from optuna.distributions import IntDistribution, distribution_to_json
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import fail_stale_trials, get_heartbeat_thread

import mendstore
from bench.fleet.server import BenchServer

PARAMETERS = 37
"""Coupling groups of a ResNet-50 whose last layers stay whole."""

SPACE = {f"restore/layer{index:02d}": IntDistribution(0, 511) for index in range(PARAMETERS)}

FILL = """
    WITH made AS (
        INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
        SELECT g, %(study)s, 'COMPLETE', timezone('utc', now()), timezone('utc', now())
        FROM generate_series(%(have)s, %(want)s - 1) g RETURNING trial_id
    ), p AS (
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
        SELECT trial_id, name, floor(random() * 512), %(distribution)s
        FROM made, unnest(%(names)s) name
    ), a AS (
        INSERT INTO trial_user_attributes (trial_id, key, value_json)
        SELECT trial_id, key, value FROM made, jsonb_each_text(%(attrs)s) pairs(key, value)
    ), v AS (
        INSERT INTO trial_values (trial_id, objective, value, value_type)
        SELECT trial_id, 0, -random(), 'FINITE' FROM made
    )
    SELECT array_agg(trial_id) FROM made
"""


def ours(server: BenchServer, name: str, trials: int, lease_s: float = 60.0) -> mendstore.Registered:
    """Register a search."""
    database = mendstore.Database(server.url)
    try:
        return mendstore.register(
            database,
            name,
            trials=trials,
            distributions={key: distribution_to_json(found) for key, found in SPACE.items()},
            fingerprint="bench",
            spec={},
            versions={},
            starts=(),
            lease_s=lease_s,
        )
    finally:
        database.close()


def proposal(source: random.Random) -> tuple[str, dict[str, float]]:
    """Key and parameters of a random candidate."""
    params = {name: float(source.randrange(512)) for name in SPACE}
    return ",".join(f"{value:.0f}" for value in params.values()), params


def attributes(params: dict[str, float]) -> dict[str, Any]:
    """Attributes that a worker records with a score."""
    keep_counts = {name.removeprefix("restore/"): int(value) for name, value in params.items()}
    return {"keep_counts": keep_counts, "macs": 1_234_567_890, "params": 12_345_678, "seconds": 1.23, "worker": 7}


def result(claim: mendstore.Claim, value: float) -> mendstore.Result:
    """Result of a claimed candidate."""
    key = ",".join(f"{number:.0f}" for number in claim.params.values())
    return mendstore.Result(claim.item_id, "COMPLETE", value, key, claim.params, attributes(claim.params))


def stock_storage(url: str, heartbeat_s: int, grace_s: int) -> BaseStorage:
    """Stock Optuna's storage as its documentation recommends for many workers that may die.

    Through its gRPC proxy (`grpc://HOST:PORT`) there are no heartbeats.
    """
    if url.startswith("grpc://"):
        host, port = url.removeprefix("grpc://").split(":")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return GrpcStorageProxy(host=host, port=int(port))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are experimental
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2},
            heartbeat_interval=heartbeat_s,
            grace_period=grace_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
        )


def stock_study(url: str, name: str, seed: int, heartbeat_s: int = 15, grace_s: int = 60) -> optuna.Study:
    """A study of stock Optuna, created if it is missing; proposals cost nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=stock_storage(url, heartbeat_s, grace_s),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=seed),
    )


class StockTrial:
    """One trial of stock Optuna, step by step as `study.optimize` takes them.

    Args:
        study: a study with heartbeats.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fail_stale_trials(study)
            self._trial = study.ask(fixed_distributions=SPACE)  # it asks to be used with `optimize`, as here it is
        self._heartbeat = get_heartbeat_thread(self._trial._trial_id, study._storage)
        self._heartbeat.start()

    def finish(self, value: float) -> None:
        """Record attributes and the value."""
        for key, found in attributes({name: float(found) for name, found in self._trial.params.items()}).items():
            self._trial.set_user_attr(key, found)
        self._heartbeat.join()
        self._study.tell(self._trial, value)


def fill(server: BenchServer, study_id: int, trials: int) -> None:
    """Insert finished trials until the study has `trials` of them; for our searches, their items too."""
    ((have,),) = server.ask("SELECT count(*) FROM trials WHERE study_id = %s", (study_id,))
    if have >= trials:
        return
    attrs = {key: json.dumps(value) for key, value in attributes(dict.fromkeys(SPACE, 7.0)).items()}
    bound = {
        "study": study_id,
        "have": have,
        "want": trials,
        "distribution": distribution_to_json(next(iter(SPACE.values()))),
        "names": list(SPACE),
        "attrs": json.dumps(attrs),
    }
    server.ask(FILL, bound)
    if server.ask("SELECT 1 FROM mend_searches WHERE study_id = %s", (study_id,)):
        server.ask(
            """
            WITH made AS (
                INSERT INTO mend_items (study_id, key, params, state, attempts, trial_id, leased_at)
                SELECT t.study_id, string_agg(p.param_value::text, ',' ORDER BY p.param_name),
                    jsonb_object_agg(p.param_name, p.param_value), 'done', 1, t.trial_id, now()
                FROM trials t JOIN trial_params p USING (trial_id)
                WHERE t.study_id = %(study)s
                  AND NOT EXISTS (SELECT 1 FROM mend_items i WHERE i.trial_id = t.trial_id)
                GROUP BY t.study_id, t.trial_id RETURNING 1
            ) UPDATE mend_searches SET claimed = claimed + (SELECT count(*) FROM made) WHERE study_id = %(study)s
            """,
            {"study": study_id},
        )
    server.ask("VACUUM ANALYZE")


def fresh(what: str) -> str:
    """A name that no other study has, beginning with `what`."""
    return f"{what}-{uuid.uuid4().hex[:8]}"
