"""Nothing lost, nothing twice, whatever breaks: `python bench/chaos.py`. Resumable; `--short` is what the tests run.

500 trials by 8 workers under the supervisor of `mendsearch launch`, while workers are killed, frozen and signalled, the
server crashes, restarts and stays away, and the network is cut. Stock Optuna's workers (`study.optimize`, heartbeats,
`RetryHeartbeatStaleTrialCallback`, `MaxTrialsCallback`, `catch`) go through the same storm under the same supervisor.
Scoring is a sleep. With root's rights the workers have a network of their own in a namespace of the kernel.
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
from fleet_server import BenchServer, serving
from fleet_storm import Storm, Weather, network
from fleet_study import fresh, stock_study
from fleet_study import ours as registered
from fleet_worker import Job

from mendsearch.files import read_json, write_json
from mendsearch.fleet.exit_reports import report_ends
from mendsearch.fleet.launch import STORAGE_VARIABLE, RestartPolicy, Supervisor, cpu_slots
from mendsearch.fleet.launch.restarts import meaning
from mendsearch.fleet.launch.supervisor import OnExit

RESULTS = Path("bench/results/chaos.json")
WORK = Path("bench/work/chaos")
HERE = Path(__file__).parent
Side = Literal["ours", "stock"]
POLICY = RestartPolicy(first_s=0.2, longest_s=2.0, healthy_s=1.0, failures=10**6)
SIGNALLED = {-9, -15, 128 + 15}
AWAY = 3
"""A worker that is started while the database is away says so and ends; its supervisor starts it again."""


@dataclass(frozen=True)
class Scale:
    """How large a storm is.

    Attributes:
        trials: N.
        workers: at a time.
        score_s: a score takes between these.
        lease_s: of a claim.
        limit_s: when the storm is given up for lost.
        weather: what befalls them.
    """

    trials: int
    workers: int
    score_s: tuple[float, float]
    lease_s: float
    limit_s: float
    weather: Weather


FULL = Scale(500, 8, (1.0, 3.0), 12.0, 900.0, Weather(2, 5, 30, 20, 27, 70, 25, 0.5, 60))
SHORT = Scale(40, 4, (0.1, 0.4), 3.0, 120.0, Weather(1.5, 5, 8, 9, 8, 12, 1, 0.3, 5))


class Ends:
    """How workers ended, and which of them no fault of ours explains.

    Args:
        journals: that say whether a worker had come so far as to work.
    """

    def __init__(self, journals: Path) -> None:
        self._journals = journals
        self.codes, self.at_start = Counter[int](), Counter[int]()
        self.at_work: list[str] = []

    def noted_before(self, tell: OnExit | None) -> OnExit:
        """For a supervisor: take note, then do what it does otherwise."""

        def note(pid: int, code: int, tail: str) -> None:
            self.codes[code] += 1
            if code not in SIGNALLED | {0}:
                if any('"joined"' in path.read_text() for path in self._journals.glob(f"{pid}-*")):
                    self.at_work.append(f"{meaning(code)}: {tail[-600:]}")
                else:
                    self.at_start[code] += 1
            if tell is not None:
                tell(pid, code, tail)

        return note

    def summary(self) -> dict[str, Any]:
        """For the record."""
        return {
            "ends_of_workers": {meaning(code): count for code, count in sorted(self.codes.items())},
            "ended_of_themselves_at_start": {meaning(code): count for code, count in sorted(self.at_start.items())},
            "ended_of_themselves_at_work": len(self.at_work),
            "of_these": self.at_work[:3],
        }


def storm(
    server: BenchServer, side: Literal["ours", "stock"], scale: Scale, folder: Path, apart: bool
) -> dict[str, Any]:
    """Run a search through it, and find out how it ended.

    Args:
        server: that suffers.
        side: whose workers.
        scale: of it.
        folder: for logs, spool and journals.
        apart: the workers have a network of their own; needs root.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = Job(side, fresh(side), scale.trials, scale.score_s, scale.lease_s, str(folder))
    job.write(folder / "job.json")
    if side == "ours":
        study_id = registered(server, job.name, scale.trials, scale.lease_s).study_id
    else:
        study_id = stock_study(server.url, job.name, 0)._study_id
    ends = Ends(folder / "journals")
    started = time.monotonic()
    with network(server, apart) as (url, prefix, wire), (folder / "supervisor.log").open("w") as news:
        tell = report_ends(url, job.name) if side == "ours" else None
        say = lambda line: print(line, file=news, flush=True)  # noqa: E731
        fleet = _supervisor(scale, prefix, url, folder, ends.noted_before(tell), say)
        done = lambda: _done(server, study_id) / scale.trials  # noqa: E731
        weather = Storm(scale.weather, server, wire, lambda: fleet.pids, scale.lease_s, done)
        fleet.start()
        weather.start()
        try:
            over = _watched(fleet, started + scale.limit_s)
        finally:
            weather.close()
            fleet.close()
    found = {
        "trials": scale.trials,
        "finished": over,
        "seconds": round(time.monotonic() - started, 1),
        "faults": dict(sorted(weather.faults.items())),
        **ends.summary(),
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
    command = [*prefix, sys.executable, str(HERE / "fleet_worker.py"), str(folder / "job.json")]
    environment = {**os.environ, STORAGE_VARIABLE: url, "PYTHONWARNINGS": "ignore"}
    slots = cpu_slots(scale.workers)
    return Supervisor(command, environment, slots, folder / "logs", on_exit, policy=POLICY, say=say)


def _watched(fleet: Supervisor, deadline: float) -> bool:
    """Whether all workers ended by themselves in time."""
    while fleet.poll():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _done(server: BenchServer, study_id: int) -> int:
    try:
        statement = "SELECT count(*) FROM trials WHERE study_id = %s AND state IN ('COMPLETE', 'PRUNED')"
        return int(server.ask(statement, (study_id,))[0][0])
    except psycopg2.Error:
        return 0


def _found(server: BenchServer, study_id: int, journals: Path) -> dict[str, Any]:
    """What the study holds, and what the workers know that it should hold."""
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
        "acknowledged_but_missing": sum(value not in held for value in acknowledged),
        "counted_twice": sum(count - 1 for count in held.values()),
        "scores_that_count_for_nothing": len(scored - set(held)),
        "values_that_nobody_computed": len(set(held) - scored),
    }


def _items(server: BenchServer, study_id: int) -> dict[str, Any]:
    """Whether each item has exactly one finished trial, whole."""
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
    return {"items": items, "items_with_one_whole_trial": whole, "events": dict(events)}


def faultless(found: dict[str, Any]) -> list[str]:
    """What is wrong with how a search of ours ended; empty where nothing is."""
    wanted = {
        "finished": True,
        "counted": found["trials"],
        "items_with_one_whole_trial": found["trials"],
        "acknowledged_but_missing": 0,
        "counted_twice": 0,
        "values_that_nobody_computed": 0,
        "ended_of_themselves_at_work": 0,
    }
    wrong = [f"{key}: got {found[key]}, expected {value}" for key, value in wanted.items() if found[key] != value]
    unready = set(found["ended_of_themselves_at_start"]) - {meaning(AWAY)}
    wrong += [f"workers could not start: {what}" for what in sorted(unready)]
    left = set(found["items"]) - {"done", "set_aside"}
    return wrong + [f"items {found['items'][state]} {state} at the end" for state in sorted(left)]


def main() -> None:
    """Both sides through the storm; what was run already is not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute, of ours alone; nothing is kept")
    parser.add_argument("--again", action="store_true", help="forget what was run")
    given = parser.parse_args()
    scale, apart = (SHORT, False) if given.short else (FULL, os.geteuid() == 0 and shutil.which("ip") is not None)
    kept = (None if given.again or given.short else read_json(RESULTS)) or {}
    with serving(WORK / "server") as server:
        kept |= {"scale": asdict(scale), "network": "namespace" if apart else "proxy", "machine": server.machine()}
        sides: tuple[Side, ...] = ("ours",) if given.short else ("ours", "stock")
        for side in sides:
            if side not in kept:
                kept[side] = storm(server, side, scale, WORK.resolve() / side, apart)
                print(json.dumps({side: kept[side]}, indent=2), flush=True)
            if not given.short:
                write_json(RESULTS, kept)
    if wrong := faultless(kept["ours"]):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
