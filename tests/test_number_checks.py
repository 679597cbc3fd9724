"""Numbers that are none, too small, too large, or no whole ones."""

import numpy as np
import pytest

from utils.number_checks import check_real, check_whole


@pytest.mark.parametrize("value", [0, 3, 3.0, np.int64(3), np.float32(3), np.array(3)])
def test_whole_numbers_of_every_type(value):
    checked = check_whole("size", value, 0, 3)
    assert checked == value and type(checked) is int


@pytest.mark.parametrize(
    "value", [-1, 4, 2.5, float("nan"), float("inf"), -float("inf"), "2", None, True, [2], 10**400]
)
def test_anything_else_is_refused_with_name_limits_and_value(value):
    with pytest.raises(ValueError, match="^size must be a whole number from 0 to 3, got"):
        check_whole("size", value, 0, 3)


def test_without_a_largest_number():
    assert check_whole("size", 10**30, 1) == 10**30
    with pytest.raises(ValueError, match="size must be a whole number of 1 or more, got 0"):
        check_whole("size", 0, 1)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.5), np.array(0.5)])
def test_real_numbers_of_every_type(value):
    checked = check_real("share", value, 0, 1)
    assert checked == value and type(checked) is float


@pytest.mark.parametrize(
    "value",
    [-0.1, 1.1, float("nan"), float("inf"), -float("inf"), "0.5", None, [0.5], [0.1, 0.2]]
    + [True, 10**400],
)
def test_other_reals_are_refused(value):
    with pytest.raises(ValueError, match="^share must be a finite number from 0 to 1, got"):
        check_real("share", value, 0, 1)
    if value != 1.1:
        with pytest.raises(ValueError, match="^share must be a finite number of 0 or more, got"):
            check_real("share", value, 0)
