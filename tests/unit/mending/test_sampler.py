import optuna
import pytest

from mendsearch.mending.sampler import make_sampler
from tests.unit.mending.test_scoring import search_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_of(search, name, seed=0):
    return optuna.create_study(direction="maximize", sampler=make_sampler(name, search.space, seed))


def value_of(counts):
    return -float(abs(counts - 3).sum())


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_every_recorded_trial_fits_the_budget_and_is_new(name):
    search = search_of("residual", macs=0.3)
    study = study_of(search, name)
    seen = set()
    for _ in range(40):
        trial = study.ask(search.space.distributions)
        counts = search.space.counts(trial.params)
        assert search.problem.limits.fits(counts)
        assert search.space.project(counts).tolist() == counts.tolist()
        assert tuple(counts) not in seen
        seen.add(tuple(counts))
        study.tell(trial, value_of(counts))


def test_the_seed_fixes_the_proposals():
    search = search_of("residual", macs=0.3)
    runs = []
    for seed in (5, 5, 6):
        study = study_of(search, "tpe", seed)
        for _ in range(15):
            trial = study.ask(search.space.distributions)
            study.tell(trial, value_of(search.space.counts(trial.params)))
        runs.append([trial.params for trial in study.trials])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_tpe_learns_more_than_random_finds():
    search = search_of("residual", macs=0.3)
    best = {}
    for name in ("tpe", "random"):
        found = []
        for seed in range(3):
            study = study_of(search, name, seed)
            for _ in range(60):
                trial = study.ask(search.space.distributions)
                counts = search.space.counts(trial.params)
                study.tell(trial, -float(abs(counts - search.uniform).sum()))
            found.append(study.best_value)
        best[name] = sum(found)
    assert best["tpe"] > best["random"]


def test_a_space_that_is_used_up_repeats_itself_rather_than_hangs():
    search = search_of("normed", macs=0.95)
    study = study_of(search, "random")
    for _ in range(30):
        trial = study.ask(search.space.distributions)
        study.tell(trial, 0.0)
    assert len(study.trials) == 30
