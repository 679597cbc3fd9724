"""The optimizer's tables inside the compiled step, against SGD made by hand."""

import math

import keras
import numpy as np
import pytest

from utils.training.optimizer import OneCycleSGD, ScheduleTable
from utils.training.schedule import one_cycle, one_cycle_momentum


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


def test_defaults_are_those_of_sgd_with_the_usual_momentum():
    config = OneCycleSGD().get_config()
    rate = pytest.approx(keras.optimizers.SGD().get_config()["learning_rate"])
    assert (config["learning_rate"], config["momentum"], config["nesterov"]) == (rate, 0.9, False)


def test_float_momentum_survives_serialization():
    config = keras.optimizers.serialize(OneCycleSGD(0.1, 0.8, weight_decay=0.01))
    again = keras.optimizers.deserialize(config)
    assert (again.momentum, again.weight_decay) == (0.8, 0.01)


def test_a_schedule_of_ones_own_comes_back_if_its_class_is_given():
    class Mine(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.25

        def get_config(self):
            return {}

    config = OneCycleSGD(Mine(), 0.8).get_config()
    again = OneCycleSGD.from_config(config, {"Mine": Mine})
    assert float(again.learning_rate) == 0.25 and again.momentum == 0.8


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, "0.9", None, [0.9], ScheduleTable([1])])
def test_optimizer_refuses_momentum(momentum):
    with pytest.raises(ValueError, match=r"number in \[0, 1\)"):
        OneCycleSGD(0.1, momentum)


def test_optimizer_refuses_gradient_accumulation():
    with pytest.raises(ValueError, match="gradient_accumulation_steps=2"):
        OneCycleSGD(0.1, 0.9, gradient_accumulation_steps=2)
