"""Checks of single numbers that a caller passes: neither NaN nor infinity gets through."""

import math


def check_whole(name, value, low, high=None):
    """A whole number within limits.

    Args:
        name: str, what the number is, for the error.
        value: what was passed: an int, or a float without a fraction.
        low, high: ints, the smallest and the largest that will do; None means no largest.

    Returns:
        int.

    Raises:
        ValueError: on any other value, and with any value that is no number.
    """
    try:
        good = not isinstance(value, bool) and value == int(value) and value >= low
    except (TypeError, ValueError, OverflowError):  # text, NaN, infinity
        good = False
    if not good or (high is not None and value > high):
        limits = f"of {low} or more" if high is None else f"from {low:,} to {high:,}"
        raise ValueError(f"{name} must be a whole number {limits}, got {value!r}.")
    return int(value)


def check_real(name, value, low, high=math.inf):
    """A finite number within limits.

    Args:
        name: str, what the number is, for the error.
        value: what was passed.
        low, high: floats, limits that are included; infinity means none.

    Returns:
        float.

    Raises:
        ValueError: on any other value, and with any value that is no number.
    """
    try:
        good = not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    except (TypeError, ValueError, OverflowError):  # text, an int that no float can hold
        good = False
    if not good:
        limits = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be a finite number {limits}, got {value!r}.")
    return float(value)
