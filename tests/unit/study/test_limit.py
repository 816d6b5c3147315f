"""The time for trials is counted from the first one, and its end is told once."""

import time

from mendsearch.study.limit import TimeLimit


def test_trials_are_ended_once_when_the_time_since_the_first_one_is_over():
    ended, since = [], [None, 4.8]
    limit = TimeLimit(5.0, lambda: since.pop(0), lambda: ended.append(time.monotonic()))
    limit.check()
    assert since == [4.8], "it is asked again while no trial has begun"
    limit.check()
    assert (since, ended) == ([], [])
    time.sleep(0.25)
    limit.check()
    limit.check()
    assert len(ended) == 1


def test_without_a_limit_nothing_is_asked():
    TimeLimit(None, lambda: 1 / 0, lambda: 1 / 0).check()
