"""Pauses between starts, and exit codes in words."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mendsearch.fleet.launch import RestartPolicy
from mendsearch.fleet.launch.restarts import final, meaning


@given(st.integers(1, 60))
def test_pauses_double_up_to_the_longest_and_are_spread(failures):
    policy = RestartPolicy(first_s=2, longest_s=100)
    whole_s = min(100, 2 * 2 ** (failures - 1))
    pauses = [policy.pause_s(failures) for _ in range(20)]
    assert all(whole_s / 2 <= pause <= whole_s for pause in pauses)
    assert len(set(pauses)) > 1


def test_only_done_and_refused_are_final():
    assert [code for code in range(-64, 256) if final(code)] == [0, 2]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "done or stopped"),
        (2, "refused"),
        (3, "database"),
        (4, "hung"),
        (-signal.SIGKILL, "killed by SIGKILL"),
        (-signal.SIGSEGV, "killed by SIGSEGV"),
        (128 + signal.SIGUSR1, "ended by SIGUSR1, its work given back"),
        (1, "crashed with exit code 1"),
        (255, "crashed with exit code 255"),
    ],
)
def test_exit_codes_in_words(code, words):
    assert words in meaning(code)
