"""Synthetic searches, inserted in bulk into the real tables, so that pages are tested without a network to prune.

Scores rise as in a real search; the counts of a fleet (workers lost, faults, candidates set aside) are exact.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import IntDistribution, distribution_to_json

from mendstore import normalised
from mendstore.schema import upgrade


@dataclass
class Made:
    """What was inserted, for tests to compare with."""

    study_id: int
    name: str
    structure: dict[str, Any]
    trial_ids: list[int]
    scores: list[float | None]
    states: list[str]
    workers: list[int]
    best: int
    counts: list[dict[str, int]] = field(repr=False)


def structure_of(groups: int, rate: float = 0.4) -> dict[str, Any]:
    """The attribute `structure` as `create` writes it: a chain of layers, every second one in a residual sum."""
    names = [
        f"layer{1 + index * 4 // groups}.{index % max(1, groups // 4)}.conv{1 + index % 2}" for index in range(groups)
    ]
    names = [f"{name}.{index}" if name in names[:index] else name for index, name in enumerate(names)]
    widths = {name: 16 * 2 ** (index * 4 // groups) for index, name in enumerate(names)}
    keep = {name: max(1, round(width * rate**0.5)) for name, width in widths.items()}
    floor = {name: max(1, round(width * 0.3)) for name, width in widths.items()}
    pre = {n: max(1, min(w, round(keep[n] * (0.7 + 0.6 * (i / groups))))) for i, (n, w) in enumerate(widths.items())}
    layers = []
    for before, after in zip([None, *names[:-1]], names, strict=True):
        size = 32 // (widths[after] // 16)
        macs = 9 * size * size * widths[after] * (widths[before] if before else 3)
        layers.append({"name": after, "group_in": before, "group_out": after, "macs": macs, "params": macs // size**2})
    dense = {key: sum(layer[key] for layer in layers) for key in ("macs", "params")}
    curves = {n: [round((1 - k / w) ** 2, 4) for k in range(w + 1)] for n, w in widths.items()}
    return {
        "groups": names, "widths": widths, "floor": floor, "pre_pruned": pre, "uniform": keep, "dense_score": 0.0,
        "controls": {"pre_pruned": -0.36, "uniform": -0.34},
        "control_divergences": {"pre_pruned": {"output": 0.36}, "uniform": {"output": 0.34}},
        "outputs": [{"name": "output", "shape": [10], "divergence": "kl", "weight": 1.0, "axis": 1, "reason": "logits"}],
        "budget": {"macs": dense["macs"] * rate}, "dense": dense, "layers": layers, "error_curves": curves,
    }  # fmt: skip


def results_of(
    structure: dict[str, Any], counts: dict[str, int], score: float, name: str, trials: int
) -> dict[str, Any]:
    """The content of `result.json`."""
    dense = structure["dense"]
    drawn = {name: max(structure["floor"][name], kept * (3 + 7 * at % 5) // 5) for at, (name, kept) in enumerate(structure["uniform"].items())}  # fmt: skip

    def row(accuracy: float, cost: float, **more: Any) -> dict[str, Any]:
        before = {"metric_before": None} if more else {}
        return {
            **before, "accuracy": accuracy, "accuracy_error": 0.003,
            "macs": round(dense["macs"] * cost), "params": round(dense["params"] * cost), "latency_ms": round(2 + 6 * cost, 3), "metric": None, **more,
        }  # fmt: skip

    return {
        "format": 2, "search": name, "model": {"name": "torchvision:resnet18", "kwargs": {}},
        "budget": {"given": {"macs": 0.4}, "absolute": structure["budget"]},
        "metric": None, "test_images": 10_000, "validation_images": 10_000, "dense": row(0.934, 1.0),
        "finalists": {
            "uniform": row(0.912, 0.4, accuracy_before=0.86, keep_counts=structure["uniform"], score=score - 0.09,
                           part=0.5, validation=[0.861, 0.905, 0.913], lead={"value": 0.014, "error": 0.003, "part": 0.5}),
            "pre_pruned": row(0.907, 0.4, accuracy_before=0.84, keep_counts=structure["pre_pruned"],
                              score=score - 0.12, part=0.25, validation=[0.842, 0.895], lead={"value": 0.016, "error": 0.003, "part": 0.25}),
            "random": row(0.899, 0.4, accuracy_before=0.81, keep_counts=drawn, score=score - 0.2,
                          part=0.25, validation=[0.815, 0.884], lead={"value": 0.027, "error": 0.003, "part": 0.25}),
            "mended": row(0.926, 0.4, accuracy_before=0.903, keep_counts=counts, score=score,
                          part=1.0, validation=[0.902, 0.911, 0.927, 0.931], lead=None),
        },
        "exported": "mended", "best": "mended", "timings": {},
        "trials": {"complete": trials, "stopped_early": 0, "failed": 0},
        "seconds": {"mend": 100.0, "finetune": 40.0}, "seed": 0, "versions": {"mendsearch": "0.1.0"},
    }  # fmt: skip


def make_search(
    url: str,
    name: str,
    *,
    trials: int = 1000,
    done: int = 600,
    workers: int = 8,
    groups: int = 20,
    lost: int = 1,
    set_aside: int = 1,
    stopped_early: float = 0.4,
    seconds: float = 3.0,
    ended_ago_s: float = 0.0,
    finished: bool = False,
    seed: int = 0,
    log: str = "RuntimeError: CUDA out of memory",
    host: str = "node",
    lease_s: float = 60.0,
) -> Made:
    """Insert a search with `done` counted trials, failed attempts, workers, leases and events.

    Args:
        url: URL of the database; its tables are created.
        name: name of the search.
        trials: number of trials asked for.
        done: number of trials that are COMPLETE or PRUNED; all of them if `finished`.
        workers: number of workers. The last `lost` were lost; the others hold one lease each while the search runs.
        groups: number of coupling groups.
        lost: number of workers whose lease ran out.
        set_aside: number of candidates that failed three times.
        stopped_early: fraction of the trials that were stopped early.
        seconds: mean duration of a score.
        ended_ago_s: seconds since the last trial ended.
        finished: whether the search has results and every worker has ended.
        seed: seed of scores and structures.
        log: log of the failed attempts.
        host: first part of the host names.
        lease_s: seconds until the leases of the living workers, which do not renew, run out.
    """
    upgrade(url)
    draw, structure = random.Random(seed), structure_of(groups)
    done = trials if finished else done
    running = 0 if finished else workers - lost
    engine = sa.create_engine(normalised(url))
    now = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=ended_ago_s)
    study = optuna.create_study(storage=normalised(url), study_name=name, direction="maximize")
    study_id = study._study_id
    attempts = ["DONE"] * done + ["FAIL"] * (3 * set_aside + lost)
    draw.shuffle(attempts)
    attempts += ["RUNNING"] * running
    states = ["PRUNED" if a == "DONE" and i > 4 and draw.random() < stopped_early else "COMPLETE" if a == "DONE" else a
              for i, a in enumerate(attempts)]  # fmt: skip
    alive = max(1, workers - lost)
    starts = [now - timedelta(seconds=seconds * (len(attempts) - running - i) / alive) for i in range(len(attempts))]
    counts, scores, best, floor, widths = [], [], 0, structure["floor"], structure["widths"]
    target = dict(structure["pre_pruned"])
    goal = {n: max(floor[n], round(w * (0.35 + 0.6 * draw.random()))) for n, w in widths.items()}
    for index, state in enumerate(states):
        share = 1 - 0.9 * 2.718 ** (-4 * index / max(1, len(states)))
        kept = {n: round(min(widths[n], max(floor[n], p + (goal[n] - p) * share + draw.gauss(0, 0.06) * widths[n])))
                for n, p in target.items()}  # fmt: skip
        kept = structure["pre_pruned"] if index == 0 else structure["uniform"] if index == 1 else kept
        score = -0.03 - 0.35 * 2.718 ** (-5 * index / max(1, len(states))) - abs(draw.gauss(0, 0.03))
        score -= 0.2 if state == "PRUNED" else 0.0
        scores.append(round(score, 5) if state in ("COMPLETE", "PRUNED") else None)
        counts.append(kept)
        if state == "COMPLETE" and (states[best] != "COMPLETE" or score > (scores[best] or -9)):
            best = index
    with engine.begin() as connection:
        _search(connection, study_id, structure, trials, done, running, lease_s)
        worker_ids = _workers(connection, study_id, workers, lost, finished, seconds, host)
        made = _trials(
            connection, study_id, structure, states, starts, counts, scores, worker_ids[:alive], seconds, log
        )
        _items(connection, study_id, made, states, starts, counts, worker_ids[:alive], set_aside, log, lease_s)
        _events(connection, study_id, worker_ids, lost, set_aside, log)
        attributes: dict[str, Any] = {"structure": structure}
        if finished:
            attributes["results"] = results_of(structure, counts[best], scores[best] or 0.0, name, trials)
        _copy(connection, "study_user_attributes", ("study_id", "key", "value_json"),
              [(study_id, key, json.dumps(value)) for key, value in attributes.items()])  # fmt: skip
    engine.dispose()
    analysed = sa.create_engine(normalised(url), isolation_level="AUTOCOMMIT")
    with analysed.connect() as connection:
        connection.execute(sa.text("ANALYZE"))
    analysed.dispose()
    return Made(study_id, name, structure, made, scores, states, worker_ids, best, counts)


def finish_more(url: str, made: Made, number: int, score: float | None = None) -> None:
    """End `number` of the running trials COMPLETE, as live workers do; the last of them with `score`."""
    engine = sa.create_engine(normalised(url))
    with engine.begin() as connection:
        running = connection.execute(
            sa.text("SELECT trial_id FROM trials WHERE study_id = :study AND state = 'RUNNING' ORDER BY number LIMIT :n"),
            {"study": made.study_id, "n": number},
        ).scalars().all()  # fmt: skip
        for index, trial_id in enumerate(running):
            value = score if score is not None and index == len(running) - 1 else -0.5
            arguments = {"trial": trial_id, "value": value}
            connection.execute(sa.text("INSERT INTO trial_values (trial_id, objective, value, value_type)"
                                       " VALUES (:trial, 0, :value, 'FINITE')"), arguments)  # fmt: skip
            connection.execute(sa.text("UPDATE trials SET state = 'COMPLETE', datetime_complete = mend_now()"
                                       " WHERE trial_id = :trial"), arguments)  # fmt: skip
            connection.execute(sa.text("UPDATE mend_items SET state = 'done' WHERE trial_id = :trial"), arguments)
    engine.dispose()


def _copy(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    def cell(value: Any) -> str:
        if value is None:
            return r"\N"
        return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")

    text = io.StringIO("".join("\t".join(map(cell, row)) + "\n" for row in rows))
    raw = connection.connection.dbapi_connection
    assert raw is not None
    with raw.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", text)


def _ids(connection: sa.Connection, table: str, column: str, number: int) -> list[int]:
    sequence = sa.select(sa.func.pg_get_serial_sequence(table, column)).scalar_subquery()
    wanted = sa.select(sa.func.nextval(sa.cast(sequence, sa.Text))).select_from(sa.func.generate_series(1, number))
    return [int(value) for value in connection.execute(wanted).scalars()]


def _workers(
    connection: Any, study: int, workers: int, lost: int, finished: bool, seconds: float, host: str
) -> list[int]:
    found = []
    for ordinal in range(workers):
        gone = ordinal >= workers - lost
        ending = "lost" if gone else "finished" if finished else None
        found.append(
            connection.execute(
                sa.text(
                    "INSERT INTO mend_workers (study_id, ordinal, host, boot, pid, device, started_at, seen_at, ended_at,"
                    " ending) VALUES (:study, :ordinal, :host, 'boot', :pid, :device, now() - interval '3 hours',"
                    " now() - make_interval(secs => :ago), CASE WHEN :ended THEN now() END, :ending) RETURNING worker_id"
                ),
                {
                    "study": study, "ordinal": ordinal, "host": f"{host}{ordinal // 8}", "pid": 4000 + ordinal,
                    "device": f"cuda:{ordinal % 8}", "ended": ending is not None, "ending": ending,
                    "ago": 900 if gone else 5,
                },
            ).scalar_one()
        )  # fmt: skip
    return found


def _trials(
    connection: Any, study: int, structure: dict[str, Any], states: list[str], starts: list[datetime],
    counts: list[dict[str, int]], scores: list[float | None], workers: list[int], seconds: float, log: str,
) -> list[int]:  # fmt: skip
    ids = _ids(connection, "trials", "trial_id", len(states))
    rows, params, attributes, values, steps = [], [], [], [], []
    widths, floor = structure["widths"], structure["floor"]
    distributions = {n: distribution_to_json(IntDistribution(0, widths[n] - floor[n])) for n in structure["groups"]}
    for number, (trial, state) in enumerate(zip(ids, states, strict=True)):
        ended = starts[number] + timedelta(seconds=seconds * (0.6 + 0.8 * ((number * 7919) % 100) / 100))
        ended = min(ended, max(starts[number], starts[-1]))
        rows.append((trial, number, study, state, starts[number], None if state == "RUNNING" else ended))
        params += [(trial, f"restore/{n}", counts[number][n] - floor[n], distributions[n]) for n in structure["groups"]]
        worker = workers[number % len(workers)]
        attributes.append((trial, "worker", worker))
        if state == "FAIL":
            attributes.append((trial, "failed", json.dumps(log)))
            continue
        if state == "RUNNING":
            continue
        macs = round(structure["budget"]["macs"] * (0.985 + 0.015 * ((number * 104729) % 100) / 100))
        parts = structure["dense"]["params"] * (0.3 + 0.25 * ((number * 31) % 100) / 100)
        attributes += [
            (trial, "keep_counts", json.dumps(counts[number])), (trial, "macs", macs), (trial, "params", round(parts)),
            (trial, "top1_agreement", round(0.99 + 0.3 * (scores[number] or 0.0), 4)), (trial, "seconds", round((ended - starts[number]).total_seconds(), 3)),
            (trial, "divergences", json.dumps({"output": -(scores[number] or 0.0)})),
        ]  # fmt: skip
        if state == "COMPLETE":
            values.append((trial, 0, scores[number], "FINITE"))
        else:
            steps.append((trial, 256 + 256 * (number % 3), scores[number], "FINITE"))
    _copy(
        connection, "trials", ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"), rows
    )
    _copy(connection, "trial_params", ("trial_id", "param_name", "param_value", "distribution_json"), params)
    _copy(connection, "trial_user_attributes", ("trial_id", "key", "value_json"), attributes)
    _copy(connection, "trial_values", ("trial_id", "objective", "value", "value_type"), values)
    _copy(connection, "trial_intermediate_values",
          ("trial_id", "step", "intermediate_value", "intermediate_value_type"), steps)  # fmt: skip
    return ids


def _search(
    connection: Any, study: int, structure: dict[str, Any], trials: int, done: int, running: int, lease_s: float
) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO mend_searches (study_id, trials, claimed, distributions, fingerprint, spec, versions, lease_s,"
            " heard_at) VALUES (:study, :trials, :claimed, '{}', 'f', cast(:spec AS jsonb),"
            """ '{"mendsearch": "0.1.0"}', :lease, now())"""
        ),
        {
            "study": study, "trials": trials, "claimed": min(trials, done + running), "lease": lease_s,
            "spec": json.dumps({"model": {"name": "torchvision:resnet18"}, "budget": {"macs": 0.4}}),
        },
    )  # fmt: skip


def _items(
    connection: Any, study: int, ids: list[int], states: list[str], starts: list[datetime],
    counts: list[dict[str, int]], workers: list[int], set_aside: int, log: str, lease_s: float,
) -> None:  # fmt: skip
    columns = (
        "study_id",
        "key",
        "params",
        "state",
        "attempts",
        "trial_id",
        "worker_id",
        "leased_at",
        "expires_at",
        "log",
    )
    rows: list[tuple[Any, ...]] = []
    now = datetime.now(UTC)
    failed = [ids[number] for number, state in enumerate(states) if state == "FAIL"]
    for number, state in enumerate(states):
        worker = workers[number % len(workers)]
        if state in ("COMPLETE", "PRUNED"):
            rows.append((study, f"k{number}", "{}", "done", 1, ids[number], worker, f"{starts[number]}+00", None, None))
        elif state == "RUNNING":
            rows.append((study, f"k{number}", "{}", "leased", 1, ids[number], worker, now - timedelta(seconds=12),
                         now + timedelta(seconds=lease_s - 12), None))  # fmt: skip
    for index in range(set_aside):
        attempts = "\n".join(f"attempt {attempt}: failed\n{log}" for attempt in (1, 2, 3))
        rows.append((study, f"aside{index}", json.dumps({"restore/a": 3}), "set_aside", 3, failed[3 * index + 2],
                     workers[0], now, None, attempts))  # fmt: skip
    _copy(connection, "mend_items", columns, rows)


def _events(connection: Any, study: int, workers: list[int], lost: int, set_aside: int, log: str) -> None:
    rows = [(study, worker, "joined", f"node{index // 8} cuda:{index % 8}") for index, worker in enumerate(workers)]
    rows += [(study, worker, "left", "lost: its lease ran out") for worker in workers[len(workers) - lost :]]
    rows += [(study, workers[0], "failed", log)] * (3 * set_aside)
    rows += [(study, workers[0], "set aside", log)] * set_aside
    rows.append((study, workers[0], "outage", "no worker was heard for 61 s"))
    _copy(connection, "mend_events", ("study_id", "worker_id", "kind", "detail"), rows)
