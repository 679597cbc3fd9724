"""Schedules against PyTorch's values, the 2019 log, closed forms and hand-made SGD."""

import csv
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.schedule import (
    OneCycleSGD,
    ScheduleTable,
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


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 1, 0.1), "total_steps=1"),
        ((0, 10, 0.0), "initial=0.0"),
        ((0, 10, float("nan")), "initial=nan"),
        ((0, 10, 0.1, (0.5, 0.4)), r"milestones=\[0.5, 0.4\]"),
        ((0, 10, 0.1, (0.5, 1.0)), "between 0 and 1"),
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


# --- inside the compiled step --------------------------------------------------------------------


def compiled(function):
    """The function compiled by whatever backend runs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [tf.function(function, jit_compile=jit) for jit in (False, True)]
    if keras.backend.backend() == "jax":
        import jax

        return [jax.jit(function)]
    return [function]


def test_table_looks_up_and_clamps_inside_a_compiled_function():
    values = one_cycle(np.arange(30), 30, 0.7)
    table = ScheduleTable(values)
    for call in [table, *compiled(lambda step: table(step))]:
        for step in (-3, 0, 8, 29, 30, 1000):
            for dtype in ("int32", "int64", "float32"):
                found = call(keras.ops.convert_to_tensor(step, dtype))
                assert keras.backend.standardize_dtype(found.dtype) == "float32"
                assert float(found) == np.float32(values[np.clip(step, 0, 29)])
    assert float(table(keras.Variable(8, dtype="int32"))) == np.float32(values[8])


def test_table_survives_serialization_exactly_and_cannot_be_changed():
    table = ScheduleTable(one_cycle(np.arange(30), 30, 0.7), "lr")
    config = keras.optimizers.schedules.serialize(table)
    again = keras.optimizers.schedules.deserialize(config)
    assert np.array_equal(again.values, table.values) and again.name == "lr"
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 1.0


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, math.nan], 3.0])
def test_table_refuses(values):
    with pytest.raises(ValueError, match="list of finite numbers"):
        ScheduleTable(values)


def by_hand(lrs, momenta, steps, *, nesterov=False):
    """The weight of loss = mean(3 w), gradient 3, after each of `steps` steps, in float64."""
    weight, velocity, path = 1.0, 0.0, []
    for t in range(steps):
        lr, momentum = lrs[min(t, len(lrs) - 1)], momenta[min(t, len(momenta) - 1)]
        velocity = momentum * velocity - lr * 3.0
        weight += momentum * velocity - lr * 3.0 if nesterov else velocity
        path.append(weight)
    return path


def one_weight_model(optimizer, **options):
    """y = w x with w = 1; with x = 3 and this loss the gradient is 3 whatever w is."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(optimizer, loss=lambda y, p: keras.ops.mean(p - 0 * y), **options)
    return model


def fit(model, steps, **options):
    x = np.full((steps, 1), 3.0, "float32")
    model.fit(x, x, batch_size=1, shuffle=False, verbose=0, **options)
    return float(keras.ops.convert_to_numpy(model.weights[0])[0, 0])


STEPS = 12
LRS = one_cycle(np.arange(STEPS), STEPS, 0.1)
MOMENTA = one_cycle_momentum(np.arange(STEPS), STEPS)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_learning_rate_and_momentum_move_inside_fit(jit, nesterov):
    optimizer = OneCycleSGD(ScheduleTable(LRS), ScheduleTable(MOMENTA), nesterov)
    moved = fit(one_weight_model(optimizer, jit_compile=jit), STEPS)
    expected = by_hand(LRS, MOMENTA, STEPS, nesterov=nesterov)[-1]
    fixed = by_hand(LRS, [0.95], STEPS, nesterov=nesterov)[-1]
    assert moved == pytest.approx(expected, rel=2e-6)
    assert abs(fixed - expected) > 0.05  # so a momentum that stands still would be seen


def test_a_callback_that_assigns_the_momentum_is_not_seen_by_the_compiled_step():
    class AssignMomentum(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.momentum = float(MOMENTA[batch])

    optimizer = keras.optimizers.SGD(ScheduleTable(LRS), momentum=0.95)
    stuck = fit(one_weight_model(optimizer), STEPS, callbacks=[AssignMomentum()])
    assert stuck == pytest.approx(by_hand(LRS, [0.95], STEPS)[-1], rel=2e-6)
    assert stuck != pytest.approx(by_hand(LRS, MOMENTA, STEPS)[-1], rel=1e-3)


def test_several_steps_an_execution_and_beyond_the_table():
    optimizer = OneCycleSGD(ScheduleTable(LRS), ScheduleTable(MOMENTA))
    model = one_weight_model(optimizer, steps_per_execution=5)
    assert fit(model, 15) == pytest.approx(by_hand(LRS, MOMENTA, 15)[-1], rel=2e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_constant_settings_give_what_keras_sgd_gives(nesterov):
    ends = []
    for make in (keras.optimizers.SGD, OneCycleSGD):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
        )
        optimizer = make(0.05, momentum=0.9, nesterov=nesterov, clipnorm=0.5, weight_decay=0.01)
        model.compile(optimizer, "mse")
        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        model.fit(x, x.sum(1), batch_size=8, shuffle=False, epochs=2, verbose=0)
        ends.append(model.get_weights())
    for theirs, ours in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("policy", "skipped"), [("mixed_float16", 1), ("mixed_bfloat16", 0), ("bfloat16", 0)]
)
def test_lower_precisions(policy, skipped):
    """float16: 3 x the first loss scale 2**15 overflows, that step is skipped and not counted."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        optimizer = OneCycleSGD(ScheduleTable(LRS), ScheduleTable(MOMENTA))
        moved = fit(one_weight_model(optimizer), STEPS)
    finally:
        keras.config.set_dtype_policy(before)
    assert int(optimizer.iterations) == STEPS - skipped
    # The weights of a mixed policy are float32, and 3 is exact in any of these types.
    tolerance = 0.05 if policy == "bfloat16" else 2e-6
    expected = by_hand(LRS, MOMENTA, STEPS - skipped)[-1]
    assert moved == pytest.approx(expected, rel=tolerance)


def make_model(**options):
    return one_weight_model(OneCycleSGD(ScheduleTable(LRS), ScheduleTable(MOMENTA), **options))


def test_weights_file_resumes_in_the_middle_of_the_cycle(tmp_path):
    whole = make_model()
    fit(whole, 5)
    whole.save_weights(tmp_path / "step5.weights.h5")
    expected = fit(whole, 7)
    resumed = make_model()
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.load_weights(tmp_path / "step5.weights.h5")
    assert int(resumed.optimizer.iterations) == 5
    assert fit(resumed, 7) == expected == pytest.approx(by_hand(LRS, MOMENTA, 12)[-1], rel=2e-6)


def test_keras_file_keeps_tables_and_velocity(tmp_path):
    model = make_model(nesterov=True, clipnorm=100.0)
    model.compile(model.optimizer, "mse")
    fit(model, 5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is OneCycleSGD
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert np.array_equal(again.optimizer.momentum.values, MOMENTA)
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        assert np.array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    assert fit(again, 7) == fit(model, 7)


def test_float_momentum_survives_serialization():
    config = keras.optimizers.serialize(OneCycleSGD(0.1, 0.8, weight_decay=0.01))
    again = keras.optimizers.deserialize(config)
    assert (again.momentum, again.weight_decay) == (0.8, 0.01)


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, "0.9", None, [0.9], ScheduleTable([1])])
def test_optimizer_refuses_momentum(momentum):
    with pytest.raises(ValueError, match=r"number in \[0, 1\)"):
        OneCycleSGD(0.1, momentum)


def test_optimizer_refuses_gradient_accumulation():
    with pytest.raises(ValueError, match="gradient_accumulation_steps=2"):
        OneCycleSGD(0.1, 0.9, gradient_accumulation_steps=2)
