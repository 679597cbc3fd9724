"""How sure a measured accuracy is: intervals of a share and of a difference, mean and spread."""

import math
import statistics


def wilson_interval(correct, total, z=1.96):
    """Confidence interval of a share, after Wilson 1927; unlike p +- z s it never leaves 0..1.

    Args:
        correct: int, 0..total.
        total: int >= 1.
        z: quantile of the normal distribution; 1.96 gives a 95 % interval.

    Returns:
        (low, high), floats in 0..1.

    Raises:
        ValueError: on counts outside their range.
    """
    if not (total >= 1 and 0 <= correct <= total):
        raise ValueError(
            f"correct must be from 0 to total and total at least 1, got {correct} of {total}."
        )
    share, spread = correct / total, z * z / total
    center = share + spread / 2
    margin = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (center - margin) / (1 + spread), (center + margin) / (1 + spread)
    return max(low, 0.0), min(high, 1.0)  # rounding may leave -1e-19


def difference_interval(first, second, z=1.96):
    """Confidence interval of the difference of two independent shares, from Wilson's of each.

    Newcombe 1998, "Interval estimation for the difference between independent proportions",
    method 10. Two networks that are tested on the same images are not independent: they tend to
    fail on the same ones, so the true interval is narrower than this one.

    Args:
        first, second: (correct, total), ints as for `wilson_interval`.
        z: quantile of the normal distribution; 1.96 gives a 95 % interval.

    Returns:
        (low, high), floats in -1..1, around the first share minus the second one.

    Raises:
        ValueError: as `wilson_interval`.
    """
    (low1, high1), (low2, high2) = (wilson_interval(*one, z) for one in (first, second))
    share1, share2 = first[0] / first[1], second[0] / second[1]
    difference = share1 - share2
    low = difference - math.hypot(share1 - low1, high2 - share2)
    return low, difference + math.hypot(high1 - share1, share2 - low2)


def mean_and_deviation(values):
    """Mean and sample standard deviation (n - 1) of one or more numbers; NaN of a single one."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan
