"""The figure of the schedule: knots where the curve turns, what does not fit refused."""

import numpy as np
import pytest
from sample_figures import MOMENTUM, ONE_CYCLE, STEPS

from utils.figures import schedule


def test_knots_are_where_the_curve_turns():
    triangle = np.interp(STEPS, [0, 149, 298, 499], [0.95, 0.85, 0.95, 0.95])
    assert schedule._turning_points(triangle, 11) == [0, 149, 298, 499]
    assert schedule._turning_points(np.full(500, 0.9), 11) == [0, 499]
    assert schedule._turning_points(np.array([0.4]), 1) == [0]
    assert len(schedule.plot_schedule(ONE_CYCLE[:1], MOMENTUM[:1], 1).axes) == 2
    stairs = np.repeat([1.0, 2, 3, 2, 1], 100)
    assert schedule._turning_points(stairs, 101) == [0, 299, 499]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: schedule.plot_schedule(ONE_CYCLE, MOMENTUM[:9], 10), r"momentum.*\(500\).*\(9,\)"),
        (lambda: schedule.plot_schedule(ONE_CYCLE, MOMENTUM, 0), "at least 1, got 0"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
