"""Which network stays where a search went on with the latency model corrected."""

import pytest

from mendstore.records import replaces


@pytest.mark.parametrize(
    ("met", "value", "kept_met", "kept_value", "replaced"),
    [
        (True, 0.8, False, 0.9, True),
        (False, 0.8, False, 0.9, True),  # it is nearer to its limit
        (True, 0.9, True, 0.8, True),
        (True, 0.7, True, 0.8, False),
        (False, 0.9, True, 0.8, False),
        (None, 0.9, True, 0.8, False),
    ],
)
def test_a_network_gives_way_only_to_one_that_is_better_and_fast_enough(met, value, kept_met, kept_value, replaced):
    assert replaces(met, value, kept_met, kept_value) is replaced
