"""Run the command as a user does: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

import mendstore

COMMAND = [sys.executable, "-m", "mendsearch"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "MENDSEARCH_STORAGE"} | {
    "OMP_NUM_THREADS": "1"
}


def mendsearch(
    *arguments: str, cwd: Path, storage: str | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run to the end; what it printed comes back."""
    extra = {"MENDSEARCH_STORAGE": storage} if storage else {}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=ENVIRONMENT | extra,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start(*arguments: str, cwd: Path, storage: str) -> subprocess.Popen[str]:
    """Start, and go on without waiting."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=ENVIRONMENT | {"MENDSEARCH_STORAGE": storage},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts background jobs with SIGINT ignored, and that is inherited; a user's terminal does not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def trials_of(storage: str, name: str) -> list[FrozenTrial]:
    """Trials of a study as stock Optuna reads them, none where there is no study yet; leaves no connection behind."""
    stock = optuna.storages.RDBStorage(storage)
    try:
        return optuna.load_study(study_name=name, storage=stock).trials
    except KeyError:
        return []
    finally:
        stock.remove_session()
        stock.engine.dispose()


def as_ended(trial: FrozenTrial) -> FrozenTrial:
    """A trial as it ended, without what the choice of the finalists and their fine-tunings add to it later."""
    for key in ("rung", "refined_score", "finetuned"):
        trial.user_attrs.pop(key, None)
    return trial


def ladder_of(storage: str, name: str) -> mendstore.Ladder | None:
    """The last rungs of a search; None where they have not begun. Leaves no connection behind."""
    database = mendstore.Database(storage)
    try:
        return mendstore.ladder(database, mendstore.find(database, name))
    except mendstore.StorageError:
        return None
    finally:
        database.close()


def fine_tuned(storage: str, name: str) -> int:
    """How many fine-tunings of a search are done."""
    found = ladder_of(storage, name)
    return 0 if found is None else sum(step.state == "done" for step in found.steps)
