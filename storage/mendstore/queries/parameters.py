"""Parameters of trials with their scores, as an evaluator of importance needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mendstore.queries.best import SCORED
from mendstore.queries.searches import Search
from mendstore.reading import Snapshot


@dataclass(frozen=True)
class Sampled:
    """An even sample of complete trials.

    Attributes:
        distributions: Optuna's JSON of every parameter of the latest complete trial.
        trials: (score, parameters in Optuna's internal form) of each.
    """

    distributions: Mapping[str, str]
    trials: list[tuple[float, Mapping[str, float]]]


def sampled_parameters(snapshot: Snapshot, search: Search, number: int) -> Sampled:
    """Parameters and scores of at most `number` complete trials, evenly spaced by number; two round trips."""
    rows = snapshot.all(
        f"""
        SELECT s.score, p.params FROM (
            SELECT t.trial_id, v.value AS score, row_number() OVER (ORDER BY t.number) AS position,
                count(*) OVER () AS trials
            FROM {SCORED} WHERE t.study_id = :study
        ) s CROSS JOIN LATERAL (SELECT jsonb_object_agg(param_name, param_value) AS params FROM trial_params
                                WHERE trial_id = s.trial_id) p
        WHERE position % greatest(1, ceil(s.trials / cast(:number AS numeric))::integer) = 0 AND p.params IS NOT NULL
        """,  # noqa: S608
        study=search.study_id,
        number=number,
    )
    distributions = snapshot.all(
        """
        SELECT param_name, distribution_json FROM trial_params
        WHERE trial_id = (SELECT max(trial_id) FROM trials WHERE study_id = :study AND state = 'COMPLETE')
        """,
        study=search.study_id,
    )
    return Sampled(
        {row["param_name"]: row["distribution_json"] for row in distributions},
        [(row["score"], row["params"]) for row in rows],
    )
