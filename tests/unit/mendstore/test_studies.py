import subprocess
import sys

import optuna
import pytest

from mendstore import StorageError, StudySummary, exclusive, open_study, summaries

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_summary_counts_trials_by_state_and_gives_the_best(storage, name):
    study = open_study(storage, name)
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


def test_opening_twice_is_the_same_study(storage, name):
    first = open_study(storage, name)
    first.tell(first.ask(), -1.0)
    assert len(open_study(storage, name).trials) == 1


def test_a_search_is_held_by_one_process_until_it_ends(storage, name):
    script = (
        "import sys, time; from mendstore import exclusive\n"
        "with exclusive(sys.argv[1], sys.argv[2]) as alone:\n"
        "    print(alone, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, storage, name], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with exclusive(storage, name) as alone:
        assert not alone
    holder.kill()
    holder.communicate()
    for _ in range(50):
        with exclusive(storage, name) as alone:
            if alone:
                return
    pytest.fail("the killed process still holds the search")


def test_a_database_that_is_not_there_is_one_line_without_the_password():
    with pytest.raises(StorageError, match=r"study database .*127\.0\.0\.1:1/db failed: .*refused") as caught:
        summaries("postgresql://u:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(StorageError, match="failed") as caught:
        open_study("postgresql://u:secret@127.0.0.1:1/db", "x")
    assert "secret" not in str(caught.value)
