import numpy as np
import optuna
import pytest

from mendsearch.mending.distance import distance
from mendsearch.mending.sampler import KICKS, SAMPLERS, STALL, apart_after, local_search_from, make_sampler
from tests.unit.mending.test_scoring import search_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_of(search, name, seed=0):
    return optuna.create_study(
        direction="maximize", sampler=make_sampler(name, search.space, search.curves, search.starts, seed)
    )


def value_of(counts):
    return -float(abs(counts - 3).sum())


@pytest.mark.parametrize("name", SAMPLERS)
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


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_space_that_is_exhausted_is_not_searched_again_for_each_trial(name, monkeypatch):
    search = search_of("residual", macs=0.3)
    only = search.space.project(search.space.floor)
    monkeypatch.setattr(search.space, "project", lambda counts: only)
    study, asked = study_of(search, name), []
    monkeypatch.setattr(study.sampler, "propose", lambda *given: asked.append(given) or only)
    for _ in range(5):
        trial = study.ask(search.space.distributions)
        assert search.space.counts(trial.params).tolist() == only.tolist()
        study.tell(trial, 1.0)
    assert len(asked) == 1 + 8  # the first, and those that found nothing new


def test_no_proposal_of_the_mending_sampler_is_a_near_copy():
    search = search_of("residual", macs=0.5)
    study, earlier = study_of(search, "mending"), []
    for number in range(24):
        trial = study.ask(search.space.distributions)
        counts = search.space.counts(trial.params)
        if number >= 2:  # the surrogate proposes
            assert min(distance(counts, other) for other in earlier) >= apart_after(number)
        earlier.append(counts)
        study.tell(trial, value_of(counts))


def test_where_all_are_near_copies_the_farthest_is_proposed():
    search = search_of("residual", macs=0.5)
    space, mending = search.space, study_of(search, "mending").sampler
    tried = space.project(search.uniform)
    study = study_of(search, "mending")
    study.add_trial(optuna.trial.create_trial(params=space.params(tried), distributions=space.distributions, value=0.0))
    mending._history.read(study, but=-1)
    drawn = [space.project(tried + change) for change in np.random.default_rng(0).integers(-2, 3, (8, len(tried)))]
    farthest = max(drawn, key=lambda counts: distance(counts, tried))
    assert mending._apart(np.array(drawn, dtype=float), 1.0).tolist() == farthest.tolist()


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


@pytest.mark.parametrize("name", ["mending", "tpe"])
def test_it_learns_more_than_random_finds(name):
    search = search_of("residual", macs=0.5)
    widths, floor = search.problem.coupling.widths, search.space.floor
    wanted = search.space.project(floor + np.random.default_rng(3).integers(0, widths - floor + 1))
    best = {}
    for sampler in (name, "random"):
        found = []
        for seed in range(3):
            study = study_of(search, sampler, seed)
            for _ in range(40):
                trial = study.ask(search.space.distributions)
                study.tell(trial, -0.1 - float(np.square(np.log(search.space.counts(trial.params) / wanted)).sum()))
            found.append(study.best_value)
        best[sampler] = sum(found)
    assert best[name] > best["random"]


@pytest.mark.parametrize(
    ("scores", "first"),
    [
        ([-1.0] * STALL, 0),
        ([-1.0] * (STALL + 1), STALL + 1),
        ([-2.0] * STALL + [-1.0] * STALL, 0),
        ([-1.0] * (STALL + 1) + [-3.0] * STALL, STALL + 1),
        ([-1.0] * (STALL + 1) + [-3.0] * (STALL + 1), 2 * STALL + 2),
    ],
)
def test_a_local_search_ends_when_so_many_trials_bring_nothing(scores, first):
    assert local_search_from(np.array(scores)) == first


def test_a_new_local_search_goes_on_from_its_own_structures():
    search = search_of("residual", macs=0.5)
    space, dense = search.space, search.problem.coupling.widths
    mending = make_sampler("mending", space, search.curves, search.starts, 0)
    near = np.array([space.project(search.uniform + np.eye(len(dense), dtype=int)[i % len(dense)]) for i in range(40)])
    far = space.project(np.where(np.arange(len(dense)) % 2, dense, space.floor))

    def away(peak, tried, scores):
        """Mean distance of proposals from a structure."""
        draws = [mending.propose(None, None, tried, scores, np.random.default_rng(seed)) for seed in range(10)]
        return np.mean([distance(peak, space.project(counts)) for counts in draws])

    tried = np.array([search.uniform, *near, *[far] * KICKS])
    ended = np.concatenate([np.arange(-1.0, -STALL - 2, -1), np.arange(-60.0, -60.0 + KICKS)])
    assert away(far, tried, ended) < away(search.uniform, tried, ended)
    rising = np.concatenate([np.arange(-STALL - 1.0, 0), np.arange(-60.0, -60.0 + KICKS)])
    assert away(far, tried, rising) > away(search.uniform, tried, rising)


def test_any_process_proposes_the_same_after_the_same_trials():
    """Nothing but the study's trials and the seed governs a proposal of the mending sampler."""
    search = search_of("residual", macs=0.3)
    study = study_of(search, "mending")
    for _ in range(12):
        trial = study.ask(search.space.distributions)
        study.tell(trial, value_of(search.space.counts(trial.params)))
    fresh = study_of(search, "mending")
    fresh.add_trials(study.trials)
    assert fresh.ask(search.space.distributions).params == study.ask(search.space.distributions).params


def test_workers_that_ask_at_once_propose_different_candidates():
    search = search_of("residual", macs=0.3)
    study = study_of(search, "mending")
    for counts in search.starts:
        study.enqueue_trial(search.space.params(counts), skip_if_exists=True)
    asked = [search.space.counts(study.ask(search.space.distributions).params) for _ in range(20)]
    assert len({tuple(counts) for counts in asked}) == 20


def test_a_space_that_is_used_up_repeats_itself_rather_than_hangs():
    search = search_of("normed", macs=0.95)
    study = study_of(search, "random")
    for _ in range(30):
        trial = study.ask(search.space.distributions)
        study.tell(trial, 0.0)
    assert len(study.trials) == 30
