"""An Optuna storage for fleets: it reads finished trials once, over the connection of the process."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from mendstore.database import Database
from mendstore.queries.optuna import FullTrial, full_trials
from mendstore.reading import Snapshot

NUMBERS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


class MendStorage(BaseStorage):
    """Optuna's storage interface over the tables that a fleet writes, for samplers and for Optuna Dashboard.

    Reading all trials takes one round trip, for those that are new or were not finished before. Stock `RDBStorage` does
    everything else over the same connection. Workers claim and finish trials by `mendstore.Queue`.

    Args:
        database: study database with stock Optuna's tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stock = optuna.storages.RDBStorage(
            database.url,
            engine_kwargs={"pool": database.engine.pool},
            skip_compatibility_check=True,
            skip_table_creation=True,
        )
        self._read: dict[int, _Read] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self._database.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(Database(state["url"]))  # type: ignore[misc]  # a copy in another process connects for itself

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials by number; finished ones come from memory."""
        with self._lock:
            read = self._read.setdefault(study_id, _Read())
            after, also = read.last_finished, list(read.open)
            rows = self._database.run(lambda connection: full_trials(Snapshot(connection), study_id, after, also))
            if not rows and not read.trials:
                self._stock.get_study_name_from_id(study_id)  # raises for a study that does not exist
            read.take([_trial(row) for row in rows])
            trials = [trial for trial in read.trials if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial, as it is now."""
        return self._stock.get_trial(trial_id)

    def delete_study(self, study_id: int) -> None:
        """Delete a study with all its trials, and all that belongs to its search."""
        self._read.pop(study_id, None)
        self._stock.delete_study(study_id)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """The new study's id."""
        return self._stock.create_new_study(directions, study_name)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute."""
        self._stock.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute."""
        self._stock.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of the study of that name; raises KeyError if there is none."""
        return self._stock.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of a study; raises KeyError if there is none."""
        return self._stock.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of each objective."""
        return self._stock.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """User attributes by key."""
        return self._stock.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """System attributes by key."""
        return self._stock.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Every study of the database."""
        return self._stock.get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """The new trial's id."""
        return self._stock.create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of a running trial."""
        self._stock.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of the trial of that number; raises KeyError if there is none."""
        return self._stock.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set the state; returns whether it changed, since a waiting trial can be taken only once."""
        return self._stock.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set an intermediate value of a running trial."""
        self._stock.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a running trial."""
        self._stock.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a running trial."""
        self._stock.set_trial_system_attr(trial_id, key, value)

    def remove_session(self) -> None:
        """Give the connection back."""
        self._stock.remove_session()


class _Read:
    """The trials of one study that were read so far."""

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self.last_finished = -1
        self.open: set[int] = set()

    def take(self, trials: list[FrozenTrial]) -> None:
        """Add or replace trials; numbers have no gaps, since trials are created under a lock."""
        for trial in trials:
            self.trials[trial.number : trial.number + 1] = [trial]
            self.open.discard(trial._trial_id)
            if trial.state.is_finished():
                self.last_finished = max(self.last_finished, trial._trial_id)
            else:
                self.open.add(trial._trial_id)


def _trial(row: FullTrial) -> FrozenTrial:
    trial_id, number, state, start, complete, params, values, steps, user, system = row
    distributions = {name: _distribution(text) for name, _, text in params or ()}
    found = FrozenTrial(
        number=number,
        trial_id=trial_id,
        state=TrialState[state],
        value=None,
        values=[NUMBERS.get(kind, value) for kind, value in values] if values else None,
        datetime_start=_local(start),
        datetime_complete=_local(complete),
        params={name: distributions[name].to_external_repr(value) for name, value, _ in params or ()},
        distributions=distributions,
        user_attrs={key: json.loads(text) for key, text in user or ()},
        system_attrs={key: json.loads(text) for key, text in system or ()},
        intermediate_values={step: NUMBERS.get(kind, value) for step, kind, value in steps or ()},
    )
    return found


@lru_cache(4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _local(moment: datetime | None) -> datetime | None:
    """Optuna keeps naive UTC and shows naive local time."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
