"""Intervals: they solve their equations, and they cover as often as they say."""

import numpy as np
import pytest

from utils.records.intervals import difference_interval, wilson_interval


@pytest.mark.parametrize(
    "correct, total", [(9024, 10000), (0, 10), (10, 10), (1, 3), (8512, 10000)]
)
def test_wilson_interval_solves_its_equation(correct, total):
    # The ends are the shares p whose distance from the observed share is z standard deviations.
    share, z = correct / total, 1.96
    ends = np.roots([1 + z**2 / total, -(2 * share + z**2 / total), share**2])
    np.testing.assert_allclose(wilson_interval(correct, total), sorted(ends.real), atol=1e-12)


def test_wilson_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        low <= 0.9 <= high
        for low, high in (wilson_interval(int(k), 200) for k in rng.binomial(200, 0.9, 4000))
    ]
    assert 0.93 < np.mean(hits) < 0.97


@pytest.mark.parametrize("correct, total", [(-1, 10), (11, 10), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(correct, total):
    with pytest.raises(ValueError, match=f"got {correct} of {total}"):
        wilson_interval(correct, total)


def test_the_interval_of_a_difference_is_that_of_newcombe_1998():
    # His table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    for first, second, expected in (
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
    ):
        np.testing.assert_allclose(difference_interval(first, second), expected, atol=5e-5)


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    pairs = zip(rng.binomial(300, 0.92, 4000), rng.binomial(300, 0.9, 4000))
    intervals = [difference_interval((int(a), 300), (int(b), 300)) for a, b in pairs]
    assert 0.93 < np.mean([low <= 0.02 <= high for low, high in intervals]) < 0.975
