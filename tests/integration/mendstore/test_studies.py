import optuna
import pytest

from mendstore import StorageError, StudySummary, summaries

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_summary_counts_trials_by_state_and_gives_the_best(storage, name):
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    for value in (-0.5, -0.25, -0.75):
        study.tell(study.ask(), value)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    study.ask()
    study.enqueue_trial({"x": 1})
    expected = {"complete": 3, "fail": 1, "running": 1, "waiting": 1}
    assert summaries(storage, name) == [StudySummary(name, expected, -0.25)]
    assert StudySummary(name, expected, -0.25) in summaries(storage)


def test_a_study_that_minimises_has_its_least_value_as_the_best(storage, name):
    study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
    for value in (3.0, 1.0, 2.0):
        study.tell(study.ask(), value)
    assert summaries(storage, name)[0].best == 1.0


def test_a_database_that_is_not_there_is_one_line_without_the_password():
    with pytest.raises(StorageError, match=r"study database .*127\.0\.0\.1:1/db failed: .*refused") as caught:
        summaries("postgresql://u:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
