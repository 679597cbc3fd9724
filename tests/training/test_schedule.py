"""Schedules against PyTorch's values, the 2019 log and closed forms."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.schedule import (
    one_cycle,
    one_cycle_momentum,
    piecewise,
    seed_triangle,
    seed_triangle_proposal,
    step_decay,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def read(name):
    with (GOLDEN / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- one-cycle -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", read("one_cycle_pytorch.csv"), ids=lambda r: "-".join(r.values()))
def test_one_cycle_equals_pytorch(row):
    step, total = int(row["step"]), int(row["total_steps"])
    shape = {
        "pct_start": float(row["pct_start"]),
        "anneal": row["anneal"],
        "three_phase": row["three_phase"] == "True",
    }
    lr = one_cycle(
        step,
        total,
        float(row["max_lr"]),
        div_factor=float(row["div_factor"]),
        final_div_factor=float(row["final_div_factor"]),
        **shape,
    )
    assert lr == pytest.approx(float(row["lr"]), rel=1e-10)
    momentum = one_cycle_momentum(step, total, **shape)
    assert momentum == pytest.approx(float(row["momentum"]), rel=1e-10)


def pytorch_says(step, ends, heights, anneal):
    """The text of PyTorch's OneCycleLR.get_lr, restated: a loop over phases, one step a call."""
    start = 0.0
    for i, end in enumerate(ends):
        if step <= end or i == len(ends) - 1:
            u = (step - start) / (end - start)
            a, b = heights[i], heights[i + 1]
            if anneal == "cos":
                return b + (a - b) / 2.0 * (math.cos(math.pi * u) + 1)
            return (b - a) * u + a
        start = end


@st.composite
def cycles(draw):
    three_phase = draw(st.booleans())
    total = draw(st.integers(2, 20_000))
    # The rise must last more than one step.
    share = draw(st.floats(0.01, 0.5 if three_phase else 0.99))
    if share * total <= 1.01:
        total = int(2 / share) + 1
    return total, share, three_phase, draw(st.sampled_from(["cos", "linear"]))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    cycles(),
    st.floats(1e-4, 10),
    st.floats(1, 100),
    st.floats(1, 1e5),
    st.floats(0, 1),
)
def test_one_cycle_equals_the_restated_rule(cycle, peak, div, final_div, where):
    total, share, three_phase, anneal = cycle
    step = round(where * (total - 1))
    first = peak / div
    last = first / final_div
    ends = [share * total - 1, 2 * share * total - 2, total - 1]
    lrs = [first, peak, first, last]
    momenta = [0.95, 0.85, 0.95, 0.95]
    if not three_phase:
        del ends[1], lrs[2], momenta[3]
    shape = {"pct_start": share, "three_phase": three_phase, "anneal": anneal}

    lr = one_cycle(step, total, peak, div_factor=div, final_div_factor=final_div, **shape)
    assert lr == pytest.approx(pytorch_says(step, ends, lrs, anneal), rel=1e-7, abs=1e-14 * peak)
    momentum = one_cycle_momentum(step, total, **shape)
    assert momentum == pytest.approx(pytorch_says(step, ends, momenta, anneal), rel=1e-12)
    # The two mirror each other: never above the peak, never below the base momentum.
    assert last * (1 - 1e-9) - 1e-15 * peak <= lr <= peak * (1 + 1e-12)
    assert 0.85 - 1e-12 <= momentum <= 0.95 + 1e-12


@settings(deadline=None, max_examples=50, derandomize=True)
@given(cycles(), st.integers(0, 10_000))
def test_array_equals_single_steps_so_a_run_can_resume_anywhere(cycle, resume):
    total, share, three_phase, anneal = cycle
    shape = {"pct_start": share, "three_phase": three_phase, "anneal": anneal}
    whole = one_cycle(np.arange(total), total, 0.8, **shape)
    resume %= total
    assert whole.shape == (total,) and whole.dtype == np.float64
    assert np.array_equal(whole[resume:], one_cycle(np.arange(resume, total), total, 0.8, **shape))
    # NumPy's vectorized cosine may differ from its scalar one in the last bit.
    assert one_cycle(resume, total, 0.8, **shape) == pytest.approx(whole[resume], rel=1e-9)


def test_one_cycle_ends_far_below_its_begin_and_clamps_outside():
    assert one_cycle(0, 4900, 1.0) == pytest.approx(1 / 25)
    assert one_cycle(1469, 4900, 1.0) == 1.0
    assert one_cycle(4899, 4900, 1.0) == pytest.approx(4e-6)
    assert one_cycle(10**6, 4900, 1.0) == one_cycle(4899, 4900, 1.0)
    assert one_cycle(-5, 4900, 1.0) == one_cycle(0, 4900, 1.0)
    assert type(one_cycle(0, 10, 1.0)) is float


def test_by_default_the_momentum_is_lowest_where_the_learning_rate_is_highest():
    steps = np.arange(4900)
    rate, momentum = one_cycle(steps, 4900, 1.0), one_cycle_momentum(steps, 4900)
    assert rate.argmax() == momentum.argmin() == 1469  # 0.3 x 4900 - 1
    places = [0, 1469, 3184, 4899]  # begin, peak, half of the way down, end
    np.testing.assert_allclose(momentum[places], [0.95, 0.85, 0.9, 0.95])
    np.testing.assert_allclose(rate[places], [0.04, 1.0, 0.5, 4e-6], rtol=1e-5)


def test_two_steps_are_enough():
    np.testing.assert_allclose(one_cycle([0, 1], 2, 1.0, pct_start=0.75), [1 / 25, 4e-6])
    assert one_cycle_momentum(1, 2, pct_start=0.75) == pytest.approx(0.95)
    assert step_decay(np.arange(2), 2, 0.1, (0.5,)).tolist() == [0.1, pytest.approx(0.01)]


def test_linear_piecewise_is_numpy_interp():
    rng = np.random.default_rng(0)
    knots, values = np.sort(rng.uniform(0, 10, 6)), rng.normal(size=6)
    step = rng.uniform(-2, 12, (4, 50))
    expected = np.interp(step, knots, values)
    np.testing.assert_allclose(piecewise(step, knots, values), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(piecewise(knots, knots, values, "cos"), values, atol=1e-15)
    middle = (knots[1:] + knots[:-1]) / 2
    halfway = (values[1:] + values[:-1]) / 2
    np.testing.assert_allclose(piecewise(middle, knots, values, "cos"), halfway, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1], "sine"), "anneal='sine'"),
        (([0, 0], [0, 1]), "strictly increasing"),
        (([1, 0], [0, 1]), "strictly increasing"),
        (([0, 1], [0, math.nan]), "finite"),
        (([0, math.inf], [0, 1]), "finite"),
        (([0], [0]), "equal length, at least 2"),
        (([0, 1], [0, 1, 2]), "equal length"),
    ],
)
def test_piecewise_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        piecewise(0, *arguments)


@pytest.mark.parametrize(
    ("total", "peak", "options", "message"),
    [
        (1, 1.0, {}, "total_steps=1"),
        (10.0, 1.0, {}, "total_steps=10.0"),
        (100, 0.0, {}, "max_lr=0.0"),
        (100, math.nan, {}, "max_lr=nan"),
        (100, math.inf, {}, "max_lr=inf"),
        (100, 10**400, {}, "max_lr=1000"),
        (100, "0.1", {}, "max_lr=0.1; it must be a finite number"),
        (100, 1.0, {"div_factor": 0}, "div_factor=0"),
        (100, 1.0, {"final_div_factor": -1}, "final_div_factor=-1"),
        (100, 1.0, {"pct_start": 0}, "pct_start=0"),
        (100, 1.0, {"pct_start": 1.0}, "pct_start=1.0"),
        (100, 1.0, {"pct_start": math.nan}, "pct_start=nan"),
        (100, 1.0, {"pct_start": 0.6, "three_phase": True}, "at most 0.5"),
        (100, 1.0, {"anneal": "exp"}, "anneal='exp'"),
        (3, 1.0, {"pct_start": 0.3}, "pct_start > 0.3333"),
    ],
)
def test_one_cycle_refuses(total, peak, options, message):
    with pytest.raises(ValueError, match=message):
        one_cycle(0, total, peak, **options)


@pytest.mark.parametrize("momenta", [(0.85, 0.95), (1.0, 0.85), (0.95, -0.1), (math.nan, 0.5)])
def test_one_cycle_momentum_refuses(momenta):
    with pytest.raises(ValueError, match="0 <= base_momentum <= max_momentum < 1"):
        one_cycle_momentum(0, 100, max_momentum=momenta[0], base_momentum=momenta[1])


# --- the 2019 submission -------------------------------------------------------------------------


def test_step_decay_is_that_of_he_et_al():
    """0.1, divided by 10 at 32,000 and at 48,000 of 64,000 steps."""
    lr = step_decay(np.arange(64_000), 64_000, 0.1)
    assert lr[[0, 31_999]].tolist() == [0.1, 0.1]
    np.testing.assert_allclose(lr[[32_000, 47_999]], 0.01)
    np.testing.assert_allclose(lr[[48_000, 63_999]], 0.001)
    assert step_decay(40_000, 64_000, 0.1) == lr[40_000]
    assert type(step_decay(40_000, 64_000, 0.1)) is float
    assert step_decay(np.arange(9), 9, 0.1, factor=1).tolist() == 9 * [0.1]  # the largest factor


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 1, 0.1), "total_steps=1"),
        ((0, 10, 0.0), "initial=0.0"),
        ((0, 10, float("nan")), "initial=nan"),
        ((0, 10, 0.1, (0.5, 0.4)), r"milestones=\[0.5, 0.4\]"),
        ((0, 10, 0.1, (0.5, 1.0)), "between 0 and 1"),
        ((0, 10, 0.1, (0.0, 0.5)), "between 0 and 1"),
        ((0, 10, 0.1, (0.5, 0.5)), "rising between"),
        ((0, 10, 0.1, (0.5,), 0.0), "factor=0.0"),
        ((0, 10, 0.1, (0.5,), 1.5), "factor=1.5"),
    ],
)
def test_step_decay_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        step_decay(*arguments)


def test_seed_triangle_reproduces_the_log_to_the_last_digit():
    rows = read("seed_epoch_log.csv")
    assert len(rows) == 50
    for row in rows:
        epoch = int(row["epoch"]) - 1
        assert repr(seed_triangle(epoch)) == row["learning_rate"]
        assert repr(seed_triangle_proposal(epoch)) == row["proposed_learning_rate"]
    whole = seed_triangle(np.arange(50))
    assert [repr(lr) for lr in whole.tolist()] == [row["learning_rate"] for row in rows]


def test_seed_triangle_refuses_a_negative_epoch():
    with pytest.raises(ValueError, match="epoch=-1"):
        seed_triangle(-1)


@pytest.mark.parametrize("share", np.arange(1, 100) / 100)
def test_stairs_fall_at_the_whole_step_of_their_share(share):
    drop = round(share * 100)
    before, at = step_decay([drop - 1, drop], 100, 1.0, milestones=(share,))
    assert (before, at) == (1.0, 0.1)
