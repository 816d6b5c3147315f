"""The trials of a study as the samplers see them."""

import math

import optuna
from optuna.trial import TrialState

from mendsearch.mending.distance import distance
from mendsearch.mending.history import History
from tests.unit.mending.test_surrogate import SPACE, drawn


def test_from_no_trial_every_candidate_is_far():
    history = History(SPACE)
    history.read(optuna.create_study(direction="maximize"), but=99)
    assert history.nearest(drawn(1)[0]) == math.inf


def test_history_reads_every_finished_trial_once_and_knows_those_that_run():
    study = optuna.create_study(direction="maximize")
    history, candidates = History(SPACE), drawn(4)
    for counts in candidates:
        study.enqueue_trial(SPACE.params(counts))
    trials = [study.ask(SPACE.distributions) for _ in range(4)]
    study.tell(trials[0], -1.0)
    trials[1].report(-2.0, 100)
    study.tell(trials[1], state=TrialState.PRUNED)
    study.tell(trials[2], state=TrialState.FAIL)
    counts, values = history.read(study, but=99)
    assert values.tolist() == [-1.0, -2.0]
    assert (counts == candidates[:2]).all()
    assert [history.holds(candidate) for candidate in candidates] == [True, True, False, True]
    assert history.nearest(candidates[3]) == 0, "it is running"
    assert history.nearest(candidates[2]) == min(distance(candidates[2], candidates[i]) for i in (0, 1, 3))
    study.tell(trials[3], -3.0)
    assert history.read(study, but=99)[1].tolist() == [-1.0, -2.0, -3.0]
