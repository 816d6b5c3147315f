"""Trials lost or counted twice while workers, database and network fail, ours and stock Optuna's. Resumable.

500 trials, then the fine-tuning of 6 finalists, by 8 workers under the supervisor of `mendsearch launch`. Until the
last fine-tuning ends, workers that have joined are killed, frozen and signalled, the server crashes, restarts and stays
down, and the network is cut. Stock Optuna's workers (`study.optimize`, heartbeats, `RetryHeartbeatStaleTrialCallback`,
`MaxTrialsCallback`, `catch`) go through the same faults under the same supervisor, with trials alone.
Scoring is a sleep. As root, the workers get a network namespace of their own. The tests run `--short`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg2

from bench.files import ROOT, WORK, read_figures, write_figures
from bench.fleet.faults import Injector, Rates, network
from bench.fleet.server import BenchServer, serving
from bench.fleet.study import fresh, stock_study
from bench.fleet.study import ours as registered
from bench.fleet.worker import FINALISTS, PASSES, Job
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import STORAGE_VARIABLE, RestartPolicy, Supervisor, cpu_slots
from mendsearch.fleet.launch.restarts import meaning
from mendsearch.fleet.launch.supervisor import OnExit
from mendsearch.mending.ladder import fine_tunings

TAKES = "20 minutes"
NAME = "chaos"
FOLDER = WORK / "chaos"
Side = Literal["ours", "stock"]
POLICY = RestartPolicy(first_s=0.2, longest_s=2.0, healthy_s=1.0, failures=10**6)
TASKS = 1 + fine_tunings(FINALISTS)
"""The choice of the finalists, and their fine-tunings on all rungs."""
TRIALS_ENDED = "SELECT count(*) FROM trials WHERE study_id = %s AND state IN ('COMPLETE', 'PRUNED')"
TASKS_ENDED = "SELECT count(*) FROM mend_tasks WHERE study_id = %s AND state IN ('done', 'set_aside')"
SIGNALLED = {-9, -15, 128 + 15}
UNREACHABLE = 3
"""Exit code of a worker that cannot reach the database when it starts; its supervisor starts it again."""


@dataclass(frozen=True)
class Scale:
    """Size of a run.

    Attributes:
        trials: number of trials asked for.
        workers: number of workers at a time.
        score_s: shortest and longest duration of a score.
        lease_s: duration of a lease.
        limit_s: duration after which the run is stopped.
        faults: how often each fault occurs.
    """

    trials: int
    workers: int
    score_s: tuple[float, float]
    lease_s: float
    limit_s: float
    faults: Rates


FULL = Scale(500, 8, (1.0, 3.0), 12.0, 900.0, Rates(2, 5, 30, 20, 27, 70, 25, 0.5, 60))
SHORT = Scale(20, 4, (0.1, 0.4), 3.0, 500.0, Rates(2, 7, 10, 11, 10, 14, 1, 0.3, 5, True))


class Exits:
    """How workers ended, and which ends no injected fault explains.

    Args:
        journals: folder of the workers' journals, which tell whether a worker had joined.
    """

    def __init__(self, journals: Path) -> None:
        self._journals = journals
        self.codes, self.at_start = Counter[int](), Counter[int]()
        self.at_work: list[str] = []

    def joined(self, pid: int) -> bool:
        """Whether a worker has joined the search."""
        return any('"joined"' in path.read_text() for path in self._journals.glob(f"{pid}-*"))

    def counted_before(self, tell: OnExit | None) -> OnExit:
        """A callback for the supervisor that counts the exit, then calls `tell`."""

        def note(pid: int, code: int, tail: str) -> None:
            self.codes[code] += 1
            if code not in SIGNALLED | {0}:
                if self.joined(pid):
                    self.at_work.append(f"{meaning(code)}: {tail[-600:]}")
                else:
                    self.at_start[code] += 1
            if tell is not None:
                tell(pid, code, tail)

        return note

    def summary(self) -> dict[str, Any]:
        """Counts for the result."""
        return {
            "exits_of_workers": {meaning(code): count for code, count in sorted(self.codes.items())},
            "unexplained_exits_at_start": {meaning(code): count for code, count in sorted(self.at_start.items())},
            "unexplained_exits_at_work": len(self.at_work),
            "examples": self.at_work[:3],
        }


def search_under_faults(
    server: BenchServer, side: Literal["ours", "stock"], scale: Scale, folder: Path, apart: bool
) -> dict[str, Any]:
    """Run a search while faults are injected, and find out how it ended.

    Args:
        server: the database.
        side: whose workers run.
        scale: size of the run.
        folder: where logs, spool and journals are written.
        apart: whether the workers get a network namespace; needs root.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = Job(side, fresh(side), scale.trials, scale.score_s, scale.lease_s, str(folder))
    job.write(folder / "job.json")
    if side == "ours":
        study_id = registered(server, job.name, scale.trials, scale.lease_s).study_id
    else:
        study_id = stock_study(server.url, job.name, 0)._study_id
    exits = Exits(folder / "journals")
    started = time.monotonic()
    with network(server, apart) as (url, prefix, wire), (folder / "supervisor.log").open("w") as news:
        tell = report_ends(url, job.name) if side == "ours" else None
        say = lambda line: print(line, file=news, flush=True)  # noqa: E731
        fleet = _supervisor(scale, prefix, url, folder, exits.counted_before(tell), say)
        wanted = scale.trials + (TASKS if side == "ours" else 0)
        trials = lambda: _ended(server, TRIALS_ENDED, study_id)  # noqa: E731
        tasks = lambda: _ended(server, TASKS_ENDED, study_id) if side == "ours" else 0  # noqa: E731
        joined = lambda: [pid for pid in fleet.pids if exits.joined(pid)]  # noqa: E731
        injector = Injector(scale.faults, server, wire, joined, scale.lease_s, lambda: (trials() + tasks()) / wanted)
        fleet.start()
        injector.start()
        try:
            over = _watched(fleet, started + scale.limit_s)
        finally:
            injector.close()
            fleet.close()
    found = {
        "trials": scale.trials,
        "finished": over,
        "seconds": round(time.monotonic() - started, 1),
        "faults": dict(sorted(injector.faults.items())),
        **exits.summary(),
        **_found(server, study_id, folder / "journals"),
    }
    return found | (_items(server, study_id) if side == "ours" else {})


def _supervisor(
    scale: Scale,
    prefix: list[str],
    url: str,
    folder: Path,
    on_exit: OnExit,
    say: Callable[[str], None],
) -> Supervisor:
    command = [*prefix, sys.executable, "-m", "bench.fleet.worker", str(folder / "job.json")]
    environment = {**os.environ, STORAGE_VARIABLE: url, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)}
    slots = cpu_slots(scale.workers)
    return Supervisor(command, environment, slots, folder / "logs", on_exit, policy=POLICY, say=say)


def _watched(fleet: Supervisor, deadline: float) -> bool:
    """Whether all workers ended on their own before the deadline."""
    while fleet.poll():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _ended(server: BenchServer, statement: str, study_id: int) -> int:
    try:
        return int(server.ask(statement, (study_id,))[0][0])
    except psycopg2.Error:
        return 0


def _found(server: BenchServer, study_id: int, journals: Path) -> dict[str, Any]:
    """What the study holds, compared with what the workers wrote into their journals."""
    states = dict(server.ask("SELECT state::text, count(*) FROM trials WHERE study_id = %s GROUP BY 1", (study_id,)))
    values = server.ask(
        "SELECT value FROM trials JOIN trial_values USING (trial_id) WHERE study_id = %s AND state = 'COMPLETE'",
        (study_id,),
    )
    held = Counter(value for (value,) in values)
    notes = [json.loads(line) for path in journals.glob("*.jsonl") for line in path.read_text().splitlines()]
    told = Counter(note["what"] for note in notes)
    acknowledged = [note["value"] for note in notes if note["what"] in ("recorded", "late")]
    scored = {note["value"] for note in notes if note["what"] == "scored"}
    return {
        "states": states,
        "counted": states.get("COMPLETE", 0) + states.get("PRUNED", 0),
        "scores_computed": told["scored"],
        "workers_joined": told["joined"],
        "answers": {what: told[what] for what in ("recorded", "late", "dropped")},
        "fine_tunings_taken_up": told["taken up"],
        "acknowledged_but_missing": sum(value not in held for value in acknowledged),
        "counted_twice": sum(count - 1 for count in held.values()),
        "scores_that_count_for_nothing": len(scored - set(held)),
        "values_that_nobody_computed": len(set(held) - scored),
    }


def _items(server: BenchServer, study_id: int) -> dict[str, Any]:
    """Whether each item has exactly one finished trial with all its parameters."""
    items = dict(server.ask("SELECT state, count(*) FROM mend_items WHERE study_id = %s GROUP BY 1", (study_id,)))
    whole = server.ask(
        """
        SELECT count(DISTINCT trial_id)
        FROM mend_items i JOIN trials t USING (trial_id) JOIN trial_values v USING (trial_id)
        WHERE i.study_id = %s AND i.state = 'done' AND t.state IN ('COMPLETE', 'PRUNED')
          AND (SELECT count(*) FROM trial_params p WHERE p.trial_id = t.trial_id) =
              (SELECT count(*) FROM jsonb_object_keys(i.params))
        """,
        (study_id,),
    )[0][0]
    events = server.ask("SELECT kind, count(*) FROM mend_events WHERE study_id = %s GROUP BY 1", (study_id,))
    return {"items": items, "items_with_one_whole_trial": whole, "events": dict(events)} | _ladder(server, study_id)


def _ladder(server: BenchServer, study_id: int) -> dict[str, Any]:
    """Whether each fine-tuning is done once, with weights that had each pass once."""
    tasks = dict(server.ask("SELECT state, count(*) FROM mend_tasks WHERE study_id = %s GROUP BY 1", (study_id,)))
    whole = server.ask(
        """
        SELECT count(*) FROM mend_tasks t JOIN mend_chunks c ON c.digest = t.weights
        WHERE t.study_id = %s AND t.state = 'done' AND convert_from(c.content, 'UTF8') =
            t.key || '/' || t.rung || ': ' || (SELECT string_agg(n::text, ' ') FROM generate_series(0, %s) n)
        """,
        (study_id, PASSES - 1),
    )[0][0]
    struck = server.ask(
        "SELECT count(*) FROM mend_tasks WHERE study_id = %s AND kind = 'finetune' AND log IS NOT NULL", (study_id,)
    )[0][0]
    return {"tasks": tasks, "fine_tunings_with_each_pass_once": whole, "fine_tunings_struck": struck}


def faultless(found: dict[str, Any]) -> list[str]:
    """What went wrong in a search of ours; empty if nothing did."""
    wanted = {
        "finished": True,
        "counted": found["trials"],
        "items_with_one_whole_trial": found["trials"],
        "acknowledged_but_missing": 0,
        "counted_twice": 0,
        "values_that_nobody_computed": 0,
        "unexplained_exits_at_work": 0,
        "fine_tunings_with_each_pass_once": found["tasks"]["done"] - 1,
    }
    wrong = [f"{key}: got {found[key]}, expected {value}" for key, value in wanted.items() if found[key] != value]
    if sum(found["tasks"].get(state, 0) for state in ("done", "set_aside")) != TASKS:
        wrong.append(f"tasks: got {found['tasks']}, expected {TASKS} done or set aside")
    unready = set(found["unexplained_exits_at_start"]) - {meaning(UNREACHABLE)}
    wrong += [f"workers could not start: {what}" for what in sorted(unready)]
    left = set(found["items"]) - {"done", "set_aside"}
    return wrong + [f"items {found['items'][state]} {state} at the end" for state in sorted(left)]


def main() -> None:
    """Run both sides; a side that has run is not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute, our side only; nothing is written")
    parser.add_argument("--again", action="store_true", help="discard earlier results")
    given = parser.parse_args()
    scale, apart = (SHORT, False) if given.short else (FULL, os.geteuid() == 0 and shutil.which("ip") is not None)
    kept = (None if given.again or given.short else read_figures(NAME)) or {}
    with serving(FOLDER / "server") as server:
        kept |= {"scale": asdict(scale), "network": "namespace" if apart else "proxy", "machine": server.machine()}
        sides: tuple[Side, ...] = ("ours",) if given.short else ("ours", "stock")
        for side in sides:
            if side not in kept or (side == "ours" and "tasks" not in kept[side]):  # from before there were any
                kept[side] = search_under_faults(server, side, scale, FOLDER / side, apart)
                print(json.dumps({side: kept[side]}, indent=2), flush=True)
            if not given.short:
                write_figures(NAME, kept)
    if wrong := faultless(kept["ours"]):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
