"""Range test against theory, and a model left alone."""
# ruff: noqa: NPY002 - the global random state is what must be restored

import contextlib
import math
import random
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from utils.training.optimizer import OneCycleSGD, ScheduleTable
from utils.training.range_test import range_test
from utils.training.trial_model import restored, trial_model

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(64, 6, 6, 1)).astype("float32")
LABELS = RNG.integers(0, 3, 64)
BATCHES = [(IMAGES[i : i + 16], LABELS[i : i + 16]) for i in range(0, 64, 16)]


def make_model(optimizer=None, **options):
    """Small, but with every kind of state: weights, batch-norm statistics, seeds, a penalty."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    momentum = ScheduleTable(np.linspace(0.95, 0.85, 20))
    model.compile(
        optimizer or OneCycleSGD(ScheduleTable(np.linspace(0.01, 0.1, 20)), momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **options,
    )
    return model


def linear_model(optimizer="sgd"):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


PAIRS = [(RNG.normal(size=(8, 2)).astype("float32"), RNG.normal(size=(8, 1))) for _ in range(4)]


def state_of(model):
    """Copies of all there is: layers, optimizer, metrics, and Python's and NumPy's random state."""
    variables = model.variables + model.optimizer.variables + model.metrics_variables
    arrays = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    return arrays, random.getstate(), np.random.get_state()[1:3]


def assert_same_state(before, after):
    for old, new in zip(before[0], after[0], strict=True):
        assert old.dtype == new.dtype and old.tobytes() == new.tobytes()
    assert before[1] == after[1]
    assert np.array_equal(before[2][0], after[2][0]) and before[2][1] == after[2][1]


def fit(model):
    model.fit(IMAGES, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0)


def test_a_loss_that_is_not_scaled_is_not_scaled_in_the_test():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", auto_scale_loss=False)
        optimizer = trial_model(model, 0.1).optimizer
    finally:
        keras.config.set_dtype_policy("float32")
    assert not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize(("eager", "jit"), [(False, False), (False, True), (True, False)])
def test_the_step_is_compiled_as_that_of_the_model(eager, jit):
    model = linear_model()
    model.compile("sgd", "mse", run_eagerly=eager, jit_compile=jit)
    trial = trial_model(model, 0.1)
    assert (trial.run_eagerly, trial.jit_compile) == (eager, jit)


def random_batches():
    """A source that uses both global random states."""
    while True:
        random.random()
        np.random.random()
        yield BATCHES[0]


# --- the model is left alone ---------------------------------------------------------------------


def test_everything_is_restored_and_training_goes_on_as_if_nothing_had_been():
    model, untouched = make_model(), make_model()
    for each in (model, untouched):
        fit(each)
    keras.utils.set_random_seed(5)
    before, optimizer, step = state_of(model), model.optimizer, model.train_function
    result = range_test(model, random_batches(), num_steps=12, end_lr=1.0)
    assert result.num_steps == 12 and result.measured_on == "batch"
    after_test = [random.random(), np.random.random()]
    keras.utils.set_random_seed(5)
    without_test = [random.random(), np.random.random()]
    keras.utils.set_random_seed(5)
    assert_same_state(before, state_of(model))
    assert model.optimizer is optimizer and model.train_function is step
    assert after_test == without_test
    assert len(set(result.loss.tolist())) == 12  # it did train

    for each in (model, untouched):
        fit(each)
    assert_same_state(state_of(untouched), state_of(model))


def test_the_global_stream_of_keras_random_is_not_drawn_from():
    draws = []
    for tested in (False, True):
        keras.utils.clear_session()
        model = linear_model()  # sets the seeds
        first = keras.random.normal((2,))
        if tested:
            range_test(model, PAIRS, num_steps=11, end_lr=0.1)
        draws.append([keras.ops.convert_to_numpy(x) for x in (first, keras.random.normal((2,)))])
    assert np.array_equal(*draws)


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_everything_is_restored_after_an_interruption(problem):
    def batches():
        for number, batch in enumerate(random_batches()):
            if number == 3:
                raise problem
            yield batch

    model = make_model()
    model.train_on_batch(*BATCHES[0])
    before = state_of(model)
    with pytest.raises(problem):
        range_test(model, batches(), num_steps=12)
    assert_same_state(before, state_of(model))


def test_a_model_that_never_trained_keeps_its_unbuilt_optimizer():
    model = linear_model()
    weights = model.get_weights()
    range_test(model, PAIRS, num_steps=11, end_lr=0.1)
    assert not model.optimizer.built
    for old, new in zip(weights, model.get_weights(), strict=True):
        assert np.array_equal(old, new)


# --- what it measures ----------------------------------------------------------------------------


def test_loss_is_that_of_the_single_batch_and_not_a_running_mean():
    """Against a twin trained by plain `train_on_batch`, with the lowest momentum, 0.85."""
    result = range_test(make_model(), BATCHES, num_steps=12, end_lr=1.0, beta=0.9)
    twin = make_model(keras.optimizers.SGD(1e-4, momentum=0.85))
    losses, weighted, weight = [], 0.0, 0.0
    for step in range(12):
        twin.optimizer.learning_rate = 1e-4 * (1.0 / 1e-4) ** (step / 11)
        twin.reset_metrics()
        losses.append(float(twin.train_on_batch(*BATCHES[step % 4])[0]))
        weighted, weight = 0.9 * weighted + losses[-1], 0.9 * weight + 1
        # A bias-corrected mean is the weighted mean with weights 1, 0.9, 0.81, ...
        assert result.smoothed[step] == pytest.approx(weighted / weight, rel=1e-4)
    np.testing.assert_allclose(result.loss, losses, rtol=1e-4)
    np.testing.assert_allclose(result.lr, 1e-4 * 10 ** (4 * np.arange(12) / 11), rtol=1e-12)
    assert result.stopped_because == "completed: all learning rates were tried."
    assert (result.lr.dtype, result.loss.dtype, result.smoothed.dtype) == (np.float64,) * 3


def quadratic(curvature, optimizer):
    """loss = curvature / 2 w^2 of one weight, started at w = 1."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(optimizer, loss=lambda y, p: keras.ops.mean(curvature / 2 * p**2 + 0 * y))
    return model


ONES = [(np.ones((1, 1), "float32"), np.ones((1, 1), "float32"))]


@pytest.mark.parametrize("curvature", [0.5, 4.0, 50.0])
def test_divergence_on_a_quadratic_begins_at_two_over_the_curvature(curvature):
    # One step multiplies w by 1 - lr * curvature: the loss grows once lr > 2 / curvature. The
    # sweep stays below 1 / curvature for its first half, so that w has not yet reached 0 exactly.
    limit = 2 / curvature
    model = quadratic(curvature, keras.optimizers.SGD(0.1))
    result = range_test(
        model, ONES, start_lr=0.3 * limit, end_lr=30 * limit, num_steps=200, beta=0, sweep="linear"
    )
    growing = result.lr[:-1][np.diff(result.loss) > 0][0]
    assert growing == pytest.approx(limit, rel=0.2)  # the sweep's steps are 0.15 limit wide
    assert result.stopped_because.startswith("diverged: at learning rate")
    assert limit < result.lr[-1] < 2 * limit


@pytest.mark.parametrize("offset", [-1.0, -100.0])
def test_a_loss_below_zero_does_not_look_like_divergence(offset):
    """Four times a negative best is lower than the best; others stop at the first step."""
    model = linear_model(keras.optimizers.SGD(0.1))
    model.compile(model.optimizer, loss=lambda y, p: keras.ops.mean((y - p) ** 2, axis=-1) + offset)
    result = range_test(model, PAIRS, start_lr=1e-5, end_lr=1e-3, num_steps=20)
    assert result.stopped_because.startswith("completed") and len(result.lr) == 20
    assert result.loss.max() < 0 or offset == -1.0
    model.compile(
        keras.optimizers.SGD(0.1), loss=lambda y, p: keras.ops.mean((y - p) ** 2, axis=-1) + offset
    )
    result = range_test(model, PAIRS, start_lr=0.1, end_lr=100.0, num_steps=50, beta=0)
    assert result.stopped_because.startswith("diverged") and len(result.lr) < 50


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_test_and_is_not_recorded(value):
    x, y = np.ones((1, 1), "float32"), np.ones((1, 1), "float32")
    model = quadratic(1.0, keras.optimizers.SGD(0.1))
    if math.isnan(value):
        model.compile(model.optimizer, loss=lambda y, p: keras.ops.mean(p**2 - p**2 * y / 2))
    large = (x * 1e30, y, None)  # its square is infinite, and infinity less infinity NaN
    result = range_test(model, [(x, y)] * 7 + [large], num_steps=20, end_lr=1.0)
    assert len(result.lr) == len(result.loss) == len(result.smoothed) == 7
    # 1e-4 x (1 / 1e-4)^(7 / 19) = 0.00298
    word = "NaN" if math.isnan(value) else "infinite"
    expected = f"loss is {word} at learning rate 0.00298 (step 7 of 20)."
    assert result.stopped_because == expected
    with pytest.raises(ValueError, match=r"learning rate 0\.0001 .*Check the inputs, or lower"):
        range_test(model, [large], num_steps=20)
    assert np.array_equal(model.get_weights()[0], [[1.0]])


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("place", ["the batch of step 2", "held_out batch 0"])
def test_data_that_are_not_finite_are_named_and_no_learning_rate_is_blamed(value, part, place):
    broken = [np.array(one) for one in PAIRS[2]]
    broken[part][3] = value
    x, y = broken
    given = [*PAIRS[:2], (x, y)], [(x, y)]
    training, held_out = (given[0], None) if "step" in place else (PAIRS, given[1])
    words = f"The {('inputs', 'targets')[part]} of {place} hold NaN or infinite values"
    model = linear_model()
    before = state_of(model)
    with pytest.raises(ValueError, match=words) as error:
        range_test(model, training, num_steps=11, end_lr=0.1, held_out=held_out)
    assert_same_state(before, state_of(model))
    names = {"np": np, "x": x, "y": y}
    exec(str(error.value).partition("out: ")[2].rstrip("."), names)  # what it advises
    mended = (names["x"], names["y"])
    assert len(mended[0]) == len(mended[1]) == 7
    range_test(model, [mended], num_steps=11, end_lr=0.1, held_out=[mended])


def test_inputs_that_are_not_finite_are_found_behind_a_layer_that_hides_them():
    inputs = keras.Input((2,))
    hidden = keras.layers.Lambda(lambda x: keras.ops.where(x > 0, x, 0 * keras.ops.ones_like(x)))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden(inputs)))
    model.compile("sgd", "mse")
    broken = (PAIRS[1][0] * math.nan, PAIRS[1][1])
    assert np.isfinite(model.evaluate(*broken, verbose=0))
    with pytest.raises(ValueError, match="inputs of the batch of step 1 hold NaN"):
        range_test(model, [PAIRS[0], broken], num_steps=11)


def test_weights_of_samples_that_are_not_finite_are_named():
    batch = (*PAIRS[0], np.full(8, math.nan, "float32"))
    with pytest.raises(ValueError, match="The sample weights of the batch of step 0 hold NaN"):
        range_test(linear_model(), [batch], num_steps=11)


@pytest.mark.parametrize(
    ("options", "doubt", "remedy"),
    [
        ({"num_steps": 15}, r"last point judged, 0\.164, .* reach up to 10\. Use", "num_steps"),
        ({"num_steps": 60, "end_lr": 0.01}, r"end of the sweep, at 0\.01\. Raise", "end_lr"),
    ],
)
def test_what_a_doubt_advises_takes_it_away(options, doubt, remedy):
    """The loss is lowest at a learning rate of about 1, and behind it explodes."""
    x, y = (np.concatenate(parts) for parts in zip(*PAIRS))
    said = range_test(linear_model(), [(x, y)], **options).doubt()
    assert re.search(doubt, said)
    better = int(re.search(r"such as (\d+)", said)[1]) if remedy == "num_steps" else 10.0
    assert range_test(linear_model(), [(x, y)], **options | {remedy: better}).doubt() == ""


def test_held_out_loss_is_that_of_the_updated_network_on_all_held_out_samples():
    """Compared with training by hand; the held-out batches have unequal sizes."""
    held_out = [(PAIRS[2][0][:3], PAIRS[2][1][:3]), PAIRS[3]]
    model = linear_model(keras.optimizers.SGD(1.0))
    before = [np.array(w) for w in model.get_weights()]
    result = range_test(
        model, PAIRS[:2], start_lr=0.01, end_lr=0.1, num_steps=12, held_out=held_out
    )
    assert result.measured_on == "held-out"
    kernel, bias = (w.astype("float64") for w in before)
    for step, lr in enumerate(result.lr):
        x, y = PAIRS[step % 2]
        error = x @ kernel + bias - y
        kernel, bias = kernel - lr * 2 * x.T @ error / len(x), bias - lr * 2 * error.mean(0)
        errors = np.concatenate([x @ kernel + bias - y for x, y in held_out])
        assert result.loss[step] == pytest.approx((errors**2).mean(), rel=1e-4)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_held_out_batches_do_not_move_the_batch_norm_statistics():
    """Against a twin that is trained and tested by hand: the model itself is put back anyway."""
    result = range_test(make_model(), BATCHES, num_steps=12, end_lr=1.0, held_out=BATCHES[:1])
    twin = make_model(keras.optimizers.SGD(1e-4, momentum=0.85))
    for step in range(12):
        twin.optimizer.learning_rate = result.lr[step]
        twin.train_on_batch(*BATCHES[step % 4])
        twin.reset_metrics()
        loss = twin.test_on_batch(*BATCHES[0])[0]
        assert result.loss[step] == pytest.approx(float(loss), rel=1e-4)
    with pytest.raises(ValueError, match="held_out without a batch"):
        range_test(make_model(), BATCHES, held_out=[])


def test_float16_loss_scaling_and_adam():
    model = linear_model(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)))
    plain = linear_model(keras.optimizers.Adam(1e-3))
    options = {"num_steps": 11, "end_lr": 0.1}
    scaled, unscaled = (range_test(m, PAIRS, **options).loss for m in (model, plain))
    np.testing.assert_allclose(scaled, unscaled, rtol=1e-4)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert not model.optimizer.built


# --- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_lr": 0.0}, "start_lr=0.0"),
        ({"start_lr": 10.0}, "0 < start_lr < end_lr"),
        ({"end_lr": math.inf}, "end_lr=inf"),
        ({"start_lr": math.nan}, "start_lr=nan"),
        ({"num_steps": 10}, "num_steps=10; use a whole number of at least 11"),
        ({"num_steps": 100.0}, "num_steps=100.0; use a whole number"),
        ({"sweep": "cubic"}, "sweep='cubic'"),
        ({"beta": 1.0}, "beta=1.0"),
        ({"beta": -0.1}, "beta=-0.1"),
        ({"stop_factor": 1.0}, "stop_factor=1.0"),
    ],
)
def test_impossible_settings(options, message):
    with pytest.raises(ValueError, match=message):
        range_test(linear_model(), PAIRS, **options)


def test_models_it_cannot_test():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"not compiled; call model\.compile"):
        range_test(model, ONES)
    first, second = keras.Input((1,)), keras.Input((1,))
    model = keras.Model([first, second], keras.layers.Add()([first, second]))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="2 inputs and 1 outputs; use a model with one of each"):
        range_test(model, ONES)


class Subclass(keras.Model):
    """With a weight that no layer has: it counts only where the model itself is called."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(1)
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, x):
        return self.factor * self.inner(x)


class Doubled(keras.Model):
    """Its graph has one layer; what its `call` adds is not in it."""

    def __init__(self):
        inputs = keras.Input((2,))
        super().__init__(inputs, keras.layers.Dense(1)(inputs))

    def call(self, x):
        return 2 * self.layers[-1](x)


def two_outputs():
    inputs = keras.Input((2,))
    return keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(3)(inputs)])


@pytest.mark.parametrize(
    ("make", "loss", "words", "found"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(1)]), "mse", "has not been built", "model"),
        (Subclass, "mse", "has a call of its own", "functional"),
        (Doubled, "mse", "has a call of its own", "functional"),
        (two_outputs, ["mse", "mae"], "1 inputs and 2 outputs", "first"),
        (lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), None, "no", "model"),
    ],
)
def test_the_line_that_an_error_of_a_model_advises_makes_it_one_that_can_be_tested(
    make, loss, words, found
):
    keras.utils.set_random_seed(3)
    model = make()
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=words if loss else "compiled without a loss") as error:
        range_test(model, PAIRS, num_steps=11)
    names = {"keras": keras, "model": model, "x": PAIRS[0][0], "loss": "mse"}
    line = re.search(
        r"((inputs|first) = |model\.(build|compile)\().*?\)(?=\.$| with )", str(error.value)
    )
    exec(line[0], names)
    tested = names[found]
    before = [np.array(w) for w in tested.get_weights()]
    options = {"num_steps": 11, "start_lr": 0.01, "end_lr": 0.1, "stop_factor": 1e6}
    losses = range_test(tested, PAIRS, **options).loss
    for old, new in zip(before, tested.get_weights(), strict=True):
        assert np.array_equal(old, new)
    assert len(set(losses.tolist())) == 11
    if isinstance(model, (Subclass, Doubled)):
        x, y = PAIRS[0]
        expected = np.mean((keras.ops.convert_to_numpy(model(x)) - y) ** 2)
        assert losses[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["train_step", "compute_loss"])
def test_a_model_with_an_objective_of_its_own_is_refused(name):
    kind = type("Special", (keras.Model,), {name: lambda self, *arguments, **options: None})
    inputs = keras.Input((1,))
    model = kind(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=f"has a {name} of its own"):
        range_test(model, ONES)


def test_the_stop_factor_decides_where_a_diverging_test_ends():
    """Loss x 1.5 a step, not smoothed: above factor x lowest after log(factor) / log(1.5) steps."""
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mae")
    batches = [(np.full((4, 1), 1.5**n, "float32"), np.zeros((4, 1))) for n in range(30)]
    for factor in (2.0, 4.0, 10.0):
        options = {"start_lr": 1e-20, "end_lr": 1e-19, "num_steps": 30}  # nothing is learned
        result = range_test(model, batches, beta=0.0, stop_factor=factor, **options)
        steps = math.floor(math.log(factor) / math.log(1.5)) + 1
        assert len(result.lr) == steps + 1
        assert f"exceeds {factor:g} times its lowest value 1." in result.stopped_because
    result = range_test(model, batches, beta=0.0, **options)
    assert "exceeds 4 times" in result.stopped_because


def test_by_default_100_steps_rise_by_equal_factors_from_1e_4_to_10(monkeypatch):
    labels = []

    def progress(items, label):
        labels.append(label)
        return items

    monkeypatch.setattr("utils.training.range_test.progress", progress)
    still = [(np.zeros((4, 2), "float32"), np.zeros((4, 1)))]  # nothing is learned
    result = range_test(linear_model(), still)
    np.testing.assert_allclose(result.lr, np.geomspace(1e-4, 10, 100))
    assert (result.num_steps, result.beta, result.measured_on) == (100, 0.98, "batch")
    assert labels == ["range test: step"]  # as a terminal shows it, with the count behind


class ResourceExhaustedError(Exception):
    """Known by its name, as TensorFlow's."""


@pytest.mark.parametrize(
    "step, name", [("train_on_batch", "batches"), ("test_on_batch", "held_out")]
)
def test_without_memory_the_batches_that_were_too_large_are_named(monkeypatch, step, name):
    def full(*arguments, **options):
        raise ResourceExhaustedError("out of memory")

    monkeypatch.setattr(keras.Model, step, full)
    words = (
        rf"batch of 8 images.*Pass {name} of 4 images, such as Batches\(images, labels, 4, seed=0"
    )
    with pytest.raises(ValueError, match=words):
        range_test(linear_model(), PAIRS, num_steps=11, held_out=PAIRS)


def test_a_loss_given_by_the_name_of_the_output_is_found():
    results = []
    for loss in ("mse", {"scores": "mse"}, ["mse"]):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((2,))
        model = keras.Model(inputs, {"scores": keras.layers.Dense(1, name="scores")(inputs)})
        if loss != {"scores": "mse"}:
            model = keras.Model(inputs, model.output["scores"])
        model.compile("sgd", loss)
        results.append(range_test(model, PAIRS, num_steps=11, end_lr=0.1).loss)
    np.testing.assert_allclose(results[1:], results[:1] * 2)


# --- what the configuration of an optimizer does not hold ----------------------------------------


def test_exemptions_from_weight_decay_count_in_the_test():
    """Weight decay of 1 would shrink the only kernel; it is exempt, so the loss is as without."""
    losses = []
    for decay in (None, 1.0):
        optimizer = keras.optimizers.SGD(0.1, weight_decay=decay)
        if decay:
            optimizer.exclude_from_weight_decay(var_names=["kernel", "bias"])
        model = linear_model(optimizer)
        losses.append(range_test(model, PAIRS, num_steps=11, start_lr=0.01, end_lr=0.1).loss)
    np.testing.assert_array_equal(*losses)


def test_an_optimizer_that_forgets_a_setting_is_refused():
    class Forgetful(keras.optimizers.SGD):
        def __init__(self, learning_rate=0.1, boost=1.0, **kwargs):
            super().__init__(learning_rate, **kwargs)
            self.boost = boost

    range_test(linear_model(Forgetful()), PAIRS, num_steps=11, end_lr=0.1)
    with pytest.raises(ValueError, match=r"Forgetful has boost = 3.0, but 1.0 .* get_config"):
        range_test(linear_model(Forgetful(boost=3.0)), PAIRS, num_steps=11, end_lr=0.1)


def test_loss_scaling_goes_on_from_the_scale_that_the_training_has_reached():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 64.0, 7)
    model = linear_model(optimizer)
    optimizer.build(model.trainable_variables)
    optimizer.dynamic_scale.assign(16.0)
    trial = trial_model(model, 0.1).optimizer
    assert trial.initial_scale == 16.0 and trial.dynamic_growth_steps == 7


class Watched(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="watched")
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x):
        self.seen.update_state(keras.ops.mean(x))
        return x


def test_metrics_within_a_layer_are_restored():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(Watched()(inputs)))
    model.compile("sgd", "mse")
    for batch in PAIRS[:3]:
        model.train_on_batch(*batch)
    before = state_of(model)
    range_test(model, PAIRS, num_steps=12, end_lr=0.1)  # ends with another batch
    assert_same_state(before, state_of(model))


def test_the_test_runs_in_the_scope_that_the_model_was_built_in():
    """As `fit` does; without it TensorFlow's mirrored variables take no step (tried by hand)."""
    scopes = []

    @contextlib.contextmanager
    def scope():
        scopes.append("entered")
        yield
        scopes.append("left")

    of_two = SimpleNamespace(variables=[], metrics_variables=[], distribute_strategy=None)
    with restored(of_two):
        assert scopes == []
    of_two.distribute_strategy = SimpleNamespace(scope=scope)
    with restored(of_two):
        assert scopes == ["entered"]
    assert scopes == ["entered", "left"]


class Reconstruction(keras.layers.Layer):
    """Adds its loss itself, as the autoencoders of Keras's guides do."""

    def call(self, x, y):
        self.add_loss(keras.ops.mean((x - y) ** 2))
        return y


def test_a_loss_that_a_layer_adds_is_enough():
    inputs = keras.Input((2,))
    outputs = Reconstruction()(inputs, keras.layers.Dense(2)(inputs))
    batches, curves = [(x, x) for x, _ in PAIRS], []
    for loss in (None, lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 2)):
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(), loss)
        curves.append(range_test(model, batches, num_steps=12, start_lr=1e-6, end_lr=1e-5).loss)
    np.testing.assert_allclose(curves[1], 2 * curves[0], rtol=1e-3)
