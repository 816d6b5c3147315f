"""Trials in full, as stock Optuna wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mendstore.reading import Snapshot


class FullTrial(NamedTuple):
    """A trial with everything that Optuna keeps of it.

    Attributes:
        trial_id: Optuna's id.
        number: number in the study.
        state: Optuna's state.
        datetime_start: in UTC.
        datetime_complete: in UTC.
        params: (name, value in internal form, distribution's JSON), or None.
        values: (kind of value, value) by objective, or None.
        steps: (step, kind of value, intermediate value), or None.
        user_attributes: (key, JSON), or None.
        system_attributes: (key, JSON), or None.
    """

    trial_id: int
    number: int
    state: str
    datetime_start: Any
    datetime_complete: Any
    params: list[tuple[str, float, str]] | None
    values: list[tuple[str, float]] | None
    steps: list[tuple[int, str, float]] | None
    user_attributes: list[tuple[str, str]] | None
    system_attributes: list[tuple[str, str]] | None


def full_trials(snapshot: Snapshot, study_id: int, after: int, also: Sequence[int]) -> list[FullTrial]:
    """Trials by number.

    Args:
        snapshot: the database.
        study_id: the study.
        after: trials with a larger id.
        also: ids of more trials.
    """
    rows = snapshot.all(
        """
        SELECT t.trial_id, t.number, t.state::text AS state, t.datetime_start, t.datetime_complete,
            (SELECT json_agg(json_build_array(param_name, param_value, distribution_json) ORDER BY param_id)
             FROM trial_params WHERE trial_id = t.trial_id) AS params,
            (SELECT json_agg(json_build_array(value_type, value) ORDER BY objective)
             FROM trial_values WHERE trial_id = t.trial_id) AS values,
            (SELECT json_agg(json_build_array(step, intermediate_value_type, intermediate_value))
             FROM trial_intermediate_values WHERE trial_id = t.trial_id) AS steps,
            (SELECT json_agg(json_build_array(key, value_json)) FROM trial_user_attributes
             WHERE trial_id = t.trial_id) AS user_attributes,
            (SELECT json_agg(json_build_array(key, value_json)) FROM trial_system_attributes
             WHERE trial_id = t.trial_id) AS system_attributes
        FROM trials t
        WHERE t.study_id = :study AND (t.trial_id > :after OR t.trial_id = ANY (:also))
        ORDER BY t.number
        """,
        study=study_id,
        after=after,
        also=list(also),
    )
    return [FullTrial(**row) for row in rows]
