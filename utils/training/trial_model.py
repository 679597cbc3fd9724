"""A model to be tried out: the same layers with an optimizer of its own, and all put back after.

What the range test trains is the very network that the user goes on with, so that its compiled
step, its precision and its device are those of the training.
"""

import random
from contextlib import contextmanager, nullcontext

import keras
import numpy as np

from utils.training.optimizer import ScheduleTable


def _check_model(model):
    if not getattr(model, "compiled", False):
        raise ValueError("The model is not compiled; call model.compile(optimizer, loss) first.")
    named = f"{type(model).__name__} {model.name!r}"
    for name in ("train_step", "compute_loss"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise ValueError(
                f"{named} has a {name} of its own, which the range test would pass over; use a "
                "model whose objective is its compiled loss."
            )
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if not inputs and isinstance(model, keras.Sequential):
        raise ValueError(
            f"{named} has not been built; with x of a batch call model.build((None, *x.shape[1:]))."
        )
    if not inputs or type(model).call.__module__.partition(".")[0] != "keras":
        raise ValueError(
            f"{named} has a call of its own. Test a functional model of the same weights; with x "
            "of a batch: inputs = keras.Input(x.shape[1:]); functional = keras.Model(inputs, "
            "model(inputs)); functional.compile(model.optimizer, model.loss)."
        )
    if not len(inputs) == len(outputs) == 1:
        raise ValueError(
            f"{named} has {len(inputs)} inputs and {len(outputs)} outputs; use a model with one of "
            "each. One output is tested by first = keras.Model(model.inputs, model.outputs[0]); "
            "first.compile(model.optimizer, loss) with its loss."
        )


def _adds_losses(model):
    """Whether a layer adds a loss when it is called, which `fit` takes without one in `compile`."""
    shape = [side or 1 for side in model.inputs[0].shape]
    with keras.StatelessScope(collect_losses=True) as scope:  # no state of a layer changes
        model(keras.ops.zeros(shape, model.inputs[0].dtype), training=True)
    return bool(scope.losses)


def trial_model(model, start_lr):
    """A model of the same layers with its own fresh optimizer, compiled step and metrics.

    Args:
        model: compiled `keras.Model`, functional or Sequential, with one input and one output.
        start_lr: float, its first learning rate. A table of momenta is held at its lowest value.

    Raises:
        ValueError: for another model, one without a loss, or one whose optimizer has settings that
            its configuration does not hold.
    """
    _check_model(model)
    loss = model.loss
    if isinstance(loss, (dict, list, tuple)):  # of the one output
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    if loss is None and not _adds_losses(model):
        raise ValueError(
            "The model is compiled without a loss, so there is none to measure; call "
            "model.compile(model.optimizer, loss) with the loss of the training, such as "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)."
        )
    trial = keras.Model(model.inputs[0], model.outputs[0], name="range_test")
    wrapper, optimizer = None, model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        wrapper, optimizer = optimizer, optimizer.inner_optimizer
    config = optimizer.get_config() | {"learning_rate": float(start_lr)}
    if isinstance(getattr(optimizer, "momentum", None), ScheduleTable):
        config["momentum"] = float(optimizer.momentum.values.min())
    fresh = type(optimizer).from_config(config)
    _copy_what_no_config_holds(optimizer, fresh)
    if wrapper:
        scale = float(wrapper.dynamic_scale) if wrapper.built else wrapper.initial_scale
        fresh = keras.optimizers.LossScaleOptimizer(fresh, scale, wrapper.dynamic_growth_steps)
    trial.compile(
        fresh,
        loss,
        run_eagerly=model.run_eagerly,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,
    )
    return trial


def _copy_what_no_config_holds(optimizer, fresh):
    """Which variables are exempt from weight decay; refuses settings that would be lost."""
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):
            setattr(fresh, name, getattr(optimizer, name))
    for name, value in vars(optimizer).items():
        plain = isinstance(value, (bool, int, float, str, type(None)))
        if not plain or name.startswith("_") or name == "built":
            continue
        found = getattr(fresh, name, None)
        if found != value:
            raise ValueError(
                f"{type(optimizer).__name__} has {name} = {value!r}, but {found!r} when it is "
                f"rebuilt from its configuration for the test; add {name} to its get_config()."
            )


@contextmanager
def restored(model):
    """Gives back all state of the layers and the global random states, whatever happens.

    Within, a distribution of TensorFlow that the model was built in is the current one, as in
    `fit`.
    """
    variables = [*model.variables, *model.metrics_variables]  # a layer may have metrics, too
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]  # copies
    strategy = getattr(model, "distribute_strategy", None)
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is the point
    try:
        with strategy.scope() if strategy else nullcontext():
            yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
