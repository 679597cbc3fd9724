"""Suggestions against an independent reading of fastai's rules, doubts, and curves in files."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.lr_curve import RangeTestResult

RECORDED = sorted(Path(__file__).resolve().parents[2].glob("runs/**/range_test.csv"))


def curve(smoothed, lr=None, num_steps=None):
    smoothed = np.asarray(smoothed, float)
    n = len(smoothed)
    lr = np.geomspace(1e-4, 10, n) if lr is None else lr
    return RangeTestResult(lr, smoothed, smoothed, num_steps or n, "completed.")


def fastai_says(lrs, losses):
    """fastai's four rules, as its sources have them: loops and counted indices."""
    n = len(losses)
    slopes = [
        (losses[i + 1] - losses[i]) / (math.log(lrs[i + 1]) - math.log(lrs[i]))
        for i in range(n - 1)
    ]
    steep = lrs[slopes.index(min(slopes))]
    minimum = lrs[list(losses).index(min(losses))] / 10

    longest, start, end = [1] * n, 0, 0
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and longest[i] < longest[j] + 1:
                longest[i] = longest[j] + 1
            if longest[end] < longest[i]:
                end, start = i, i - longest[i]
    sections = (end - start) / 3
    valley = lrs[max(0, start + int(sections) + int(sections / 2))]

    if n < 16:
        return steep, minimum, valley, math.nan
    inner = [(losses[i + 1] - losses[i - 1]) / 2 for i in range(1, n - 1)]
    grad = [losses[1] - losses[0], *inner, losses[-1] - losses[-2]]
    right, left = -1, -16
    slide = lrs[left]
    while left >= -n and abs(grad[right] - grad[left]) > 0.005:
        slide = lrs[left]
        right, left = right - 1, left - 1
    return steep, minimum, valley, slide


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    st.lists(st.floats(0.01, 10).map(lambda x: round(x, 3)), min_size=12, max_size=60),
    st.sampled_from(["wild", "smooth"]),
)
def test_suggestions_equal_the_restated_rules(losses, kind):
    losses = np.array(losses)
    if kind == "smooth":  # falls, then rises, with some noise: what a real curve looks like
        losses = (np.linspace(-1, 1.2, len(losses)) ** 2) + 0.01 * losses
    result = curve(losses)
    kept = slice(len(losses) // 10, -5)
    expected = fastai_says(result.lr[kept].tolist(), losses[kept].tolist())
    assert result.suggest() == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_suggestions_on_the_curves_of_real_runs(path):
    result = RangeTestResult.load_csv(path)
    mean, smoothed = 0.0, []
    for step, loss in enumerate(result.loss.tolist(), start=1):
        mean = result.beta * mean + (1 - result.beta) * loss
        smoothed.append(mean / (1 - result.beta**step))
    assert result.smoothed == pytest.approx(smoothed, rel=1e-12)
    assert np.diff(np.log(result.lr)) == pytest.approx(np.log(result.lr[1] / result.lr[0]))
    kept = slice(result.num_steps // 10, -5)
    expected = fastai_says(result.lr[kept].tolist(), smoothed[kept])
    assert result.suggest() == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert result.peak().lr == pytest.approx(10 * expected[1] / 10**0.5)


def test_curves_of_real_runs_are_kept():
    assert RECORDED, "run the notebook, and commit the range_test.csv of its record"


def test_suggestions_of_a_known_curve():
    """A parabola in log10(lr), lowest at lr = 1, after a straight fall."""
    lr = np.logspace(-4, 1, 101)
    result = curve(np.log10(lr) ** 2, lr)
    found = result.suggest()
    assert found.minimum == pytest.approx(0.1)
    assert found.steep == pytest.approx(lr[10])  # steepest at the left end of what is kept
    # It falls from index 10 to 80: 71 points; begin 9 (see the rule), third 23.67: 9 + 23 + 11.
    assert found.valley == pytest.approx(lr[43])
    # The slopes of a parabola 15 steps apart differ by 15 x 2 x 0.05^2 = 0.075 > 0.005 all along,
    # so the window slides down to the left end, index 10.
    assert found.slide == pytest.approx(lr[10])
    assert result.peak().lr == pytest.approx(10**-0.5)
    assert "half a decade below 1," in result.peak().reason


def test_steep_is_against_the_logarithm():
    """Loss = -log(lr) twice as steep in the middle: against lr itself the first step would win."""
    lr = np.geomspace(1e-4, 10, 100)
    slope = np.where(np.arange(99) == 50, 2.0, 1.0)
    loss = 20 - np.concatenate([[0], np.cumsum(slope * np.diff(np.log(lr)))])
    assert curve(loss, lr).suggest().steep == pytest.approx(lr[50])


def test_flat_and_rising_curves_follow_fastai():
    lr = np.geomspace(1e-4, 10, 100)
    flat = curve(np.ones(100), lr).suggest()
    assert flat.slide == pytest.approx(lr[94 - 15])  # the slopes agree at once
    assert flat.valley == lr[10]  # nothing falls: the first point, never fastai's lrs[-1]
    rising = curve(np.linspace(1, 2, 100), lr).suggest()
    assert rising.valley == lr[10] and rising.minimum == lr[10] / 10


def test_suggestions_cut_at_the_first_nan_and_by_the_planned_steps():
    lr = np.geomspace(1e-4, 10, 100)
    loss = np.cos(np.linspace(0, 6, 100))
    broken = loss.copy()
    broken[60:] = math.nan
    expected = fastai_says(lr[10:60].tolist(), loss[10:60].tolist())
    assert curve(broken, lr).suggest() == pytest.approx(expected)
    # Stopped at 50 of 100: the first tenth is that of the plan.
    expected = fastai_says(lr[10:45].tolist(), loss[10:45].tolist())
    assert curve(loss[:50], lr[:50], 100).suggest() == pytest.approx(expected)


def test_suggestions_need_enough_points():
    assert math.isnan(curve(np.linspace(2, 1, 21)).suggest().slide)  # 14 points are left
    assert curve(np.linspace(2, 1, 11)).suggest().minimum > 0  # 5 points are enough
    with pytest.raises(ValueError, match=r"4 points .* at least 5 .* Use more steps or a lower"):
        curve(np.linspace(2, 1, 10)).suggest()
    with pytest.raises(ValueError, match="at least 5"):
        curve(np.full(50, math.nan)).peak()


# --- the file ------------------------------------------------------------------------------------


def noisy(trend, noise, seed=0, **options):
    """A result whose single losses are a trend plus normal noise, smoothed as the test does."""
    loss = np.asarray(trend) + noise * np.random.default_rng(seed).normal(size=len(trend))
    mean, smoothed = 0.0, []
    for step, value in enumerate(loss):
        mean = 0.98 * mean + 0.02 * value
        smoothed.append(mean / (1 - 0.98 ** (step + 1)))
    lr = np.geomspace(1e-4, 10, len(loss))
    return RangeTestResult(lr, loss, np.array(smoothed), len(loss), "completed.", **options)


VALLEY = 0.8 + np.minimum((np.log(np.geomspace(1e-4, 10, 200)) + 4) ** 2 / 15, 1.5)


@pytest.mark.parametrize("seed", range(5))
def test_a_clear_curve_raises_no_doubt(seed):
    assert noisy(VALLEY, 0.1, seed).doubt() == ""


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_curve_is_doubted(seed):
    assert "flat or noisy" in noisy(np.full(200, 2.3), 0.1, seed).doubt()


def test_a_curve_buried_in_noise_is_doubted():
    assert "flat or noisy" in noisy(VALLEY, 30.0).doubt()


def test_the_noise_that_counts_is_that_which_smoothing_leaves():
    """Normal noise of 0.1 in single losses is one of 0.01 after the mean with beta = 0.98."""
    rng, parabola = np.random.default_rng(0), np.linspace(-1, 1, 200) ** 2
    for fall, doubted in ((0.15, False), (0.02, True)):
        smoothed = 2 + fall * parabola
        loss = smoothed + rng.normal(0, 0.1, 200)
        result = RangeTestResult(np.geomspace(1e-4, 10, 200), loss, smoothed, 200, "completed.")
        assert ("flat or noisy" in result.doubt()) == doubted


def test_a_loss_that_still_falls_at_the_end_is_doubted():
    assert "Raise end_lr" in noisy(np.linspace(2.3, 1.0, 200), 0.05).doubt()


def test_a_loss_that_turns_behind_the_last_point_judged_is_not_said_to_fall_until_the_end():
    """Whether the sweep ends or stops there; few steps leave much of the range unjudged."""
    lr = np.geomspace(1e-4, 10, 20)
    smoothed = 2 + np.abs(np.log10(lr / lr[16]))
    for stop in (20, 19):
        assert curve(smoothed[:stop], lr[:stop], 20).doubt() == (
            f"The smoothed loss is lowest at the last point judged, {lr[stop - 6]:.3g}, and the 5 "
            f"behind it reach up to {lr[stop - 1]:.3g}. Use more steps, such as 100."
        )


def test_a_rise_at_the_very_end_counts_although_it_ends_below_the_last_point_judged():
    lr, smoothed = np.geomspace(1e-4, 10, 15), np.linspace(3.0, 1.0, 15) ** 3
    smoothed[-1] = smoothed[-2] + 2
    assert smoothed[-1] < smoothed[9] and "Use more steps" in curve(smoothed, lr).doubt()


def test_five_points_behind_the_lowest_loss_are_no_doubt_within_the_margin_of_the_peak():
    """At 100 steps of 1e-4 to 10 they are a factor of 1.8; the peak keeps one of 3.16."""
    lr = np.geomspace(1e-4, 10, 100)
    assert curve(2 + np.abs(np.log10(lr / lr[94])), lr).doubt() == ""


def test_a_steepest_fall_behind_the_lowest_loss_is_doubted():
    """A spike and the fall after it, far right of the valley."""
    spiked = VALLEY.copy()
    spiked[150:170] += 300.0
    result = noisy(spiked, 0.01)
    assert result.suggest().steep > 10 * result.suggest().minimum
    assert "lies behind the lowest loss" in result.doubt()


def test_plot_marks_every_suggestion():
    figure = noisy(VALLEY, 0.1).plot()
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    for name in ("steep", "minimum", "valley", "slide", "peak"):
        assert name in texts


def test_csv_round_trip_is_exact(tmp_path):
    values = np.random.default_rng(1).lognormal(size=(3, 40)) / 3
    reason = 'diverged: at "0.5", it exceeds 4 times the best.'
    result = RangeTestResult(*values, 100, reason, "held-out", 0.9)
    result.save_csv(tmp_path / "range.csv")
    again = RangeTestResult.load_csv(tmp_path / "range.csv")
    for name in ("lr", "loss", "smoothed"):
        assert np.array_equal(getattr(again, name), getattr(result, name))
    assert (again.num_steps, again.stopped_because) == (100, reason)
    assert (again.measured_on, again.beta) == ("held-out", 0.9)
    assert again.suggest() == result.suggest()


def test_a_curve_of_one_step_comes_back_from_lines_without_carriage_returns(tmp_path):
    RangeTestResult(*np.ones((3, 1)), num_steps=50, stopped_because="a").save_csv(tmp_path / "a")
    assert b"\r" not in (tmp_path / "a").read_bytes()
    assert RangeTestResult.load_csv(tmp_path / "a").loss.tolist() == [1.0]


def test_columns_of_different_lengths_are_not_written(tmp_path):
    with pytest.raises(ValueError):
        RangeTestResult(np.ones(3), np.ones(2), np.ones(3), 50, "a").save_csv(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.5\n", "0.5", "middle of a line"),
        ("0.5", "0,5", "missing or no number|do not fit"),
        ("0.25,", "0.2x,", "no number"),
        ("1,", "7,", "do not fit together"),
        ("batch", "batsh", "do not fit together"),
        ("step", "\udcff", "no CSV file"),
    ],
)
def test_a_damaged_csv_is_refused(tmp_path, old, new, message):
    values = np.array([[0.125, 0.25], [3.0, 2.0], [3.0, 2.0]])
    RangeTestResult(*values, num_steps=2, stopped_because="0.5").save_csv(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    damaged = new.join(text.rsplit(old, 1))
    assert damaged != text
    (tmp_path / "a.csv").write_text(damaged, errors="surrogateescape")
    with pytest.raises(ValueError, match=f"a.csv.*({message}).*save_csv"):
        RangeTestResult.load_csv(tmp_path / "a.csv")


def test_csv_of_something_else(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"expected .'step', 'learning_rate'"):
        RangeTestResult.load_csv(tmp_path / "other.csv")
    with pytest.raises(OSError, match=r"missing\.csv"):
        RangeTestResult.load_csv(tmp_path / "missing.csv")


def test_a_test_that_ended_early_at_its_lowest_loss_does_not_ask_for_a_higher_end():
    lr = np.geomspace(1e-4, 10, 100)[:60]
    loss = np.concatenate([np.linspace(2, 1, 55), np.linspace(2, 9, 5)])
    assert RangeTestResult(lr, loss, loss, 100, "diverged").doubt() == ""
    falling = np.linspace(2, 1, 60)
    assert RangeTestResult(lr, falling, falling, 100, "loss is NaN").doubt() == ""
    assert "Raise end_lr" in RangeTestResult(lr, falling, falling, 60, "completed").doubt()
