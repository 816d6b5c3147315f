import math

import pytest
import torch
from torch import nn

from mendsearch.errors import ModelError
from mendsearch.exporting.comparison import check, relative_difference

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([0.0], [0.0], 0.0),
        ([], [], 0.0),
        ([INF, 1.0], [INF, 1.0], 0.0),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([INF], [-INF], INF),
        ([NAN], [INF], INF),
        ([1.0], [INF], INF),
        ([INF], [1.0], INF),
    ],
)
def test_a_difference_is_relative_to_the_largest_value(found, expected, difference):
    assert relative_difference(torch.tensor(found), torch.tensor(expected)) == difference


CALL = ((torch.randn(2, 3),), {})


def test_shapes_that_follow_the_batch_only_for_some_sizes_are_found():
    with pytest.raises(ModelError, match=r"net gives \[\(2, 3\)\] for 1 items, expected \[\(1, 3\)\]; try the other"):
        check(nn.Identity(), CALL, lambda call: [torch.cat([call[0][0]] * 2)], "net")
    with pytest.raises(ModelError, match="net does not run for 5 items: IndexError: "):
        check(
            nn.Identity(),
            CALL,
            lambda call: (
                [call[0][0][[0]] if len(call[0][0]) == 1 else call[0][0][:, [len(call[0][0])]]]
                if len(call[0][0]) > 2
                else [call[0][0]]
            ),
            "net",
        )


def test_the_largest_difference_of_all_is_given():
    assert check(nn.Identity(), CALL, lambda call: [call[0][0] * (1 + 5e-5)], "net") == pytest.approx(5e-5, rel=0.01)
    with pytest.raises(ModelError, match=r"output 0 of net differs by 0\.0002 of its largest value for 1 items"):
        check(nn.Identity(), CALL, lambda call: [call[0][0] * (1 + 2e-4)], "net")
