"""Importance of parameters, computed by Optuna in the background and cached until the search has grown."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Iterator, Mapping

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import create_trial

import mendstore
from mendstore import Reader, Snapshot
from mendstore.queries.parameters import sampled_parameters
from mendstore.queries.searches import Search

SAMPLE = 1000
"""Number of trials that are evaluated; more change little and take memory."""
LEAST = 20
GROWTH = 1.2
PREFIX = "restore/"

logger = logging.getLogger(__name__)


class Importances:
    """Importance by coupling group, for searches that somebody views.

    Args:
        reader: reader of their database.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[int, tuple[int, Mapping[str, float]]] = {}
        self._asked: set[int] = set()
        self._queue: queue.SimpleQueue[tuple[Search, int]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        threading.Thread(target=self._work, name="importance", daemon=True).start()

    def __call__(self, search: Search, complete: int) -> Mapping[str, float] | None:
        """The importance known so far, or None; it is computed again in the background when the search has grown."""
        with self._lock:
            at, values = self._known.get(search.study_id, (0, None))
            if complete >= max(LEAST, GROWTH * at) and search.study_id not in self._asked:
                self._asked.add(search.study_id)
                self._queue.put((search, complete))
        return values

    def _work(self) -> None:
        while True:
            search, complete = self._queue.get()
            values: Mapping[str, float] = {}
            try:
                values = self._reader.read(lambda snapshot, search=search: importance(snapshot, search))  # type: ignore[misc]
            except mendstore.StorageError:
                complete = 0  # the reader has logged it; the next viewer asks again
            except (ValueError, RuntimeError) as error:  # Optuna refuses where parameters or scores do not vary
                logger.info("importance of search %d: %s", search.study_id, error)
                complete = max(complete, LEAST)
            with self._lock:
                self._asked.discard(search.study_id)
                if values or search.study_id not in self._known:
                    self._known[search.study_id] = (complete, values)


def importance(snapshot: Snapshot, search: Search) -> dict[str, float]:
    """Importance by coupling group, over evenly spaced trials.

    Raises:
        ValueError: Optuna cannot compute it.
    """
    sampled = sampled_parameters(snapshot, search, SAMPLE)
    distributions = {name: json_to_distribution(text) for name, text in sampled.distributions.items()}
    wanted = set(distributions)
    trials = [
        create_trial(
            value=score,
            params={name: distributions[name].to_external_repr(params[name]) for name in wanted},
            distributions=distributions,
        )
        for score, params in sampled.trials
        if wanted <= set(params)
    ]
    scores = sorted((score for score, _ in sampled.trials), reverse=search.sign > 0)
    if len(trials) < LEAST or not wanted or scores[len(scores) // 10] == scores[-1]:  # the best tenth is as the rest
        return {}
    with _quiet():
        study = optuna.create_study(direction="maximize" if search.sign > 0 else "minimize")
    study.add_trials(trials)
    # imports scikit-learn where it is there, which every command would pay for
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from printing that a study was created."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
