"""SGD whose learning rate and momentum are looked up inside the compiled step."""

import numbers

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="assignment")
class ScheduleTable(keras.optimizers.schedules.LearningRateSchedule):
    """One value for each step; a lookup inside the compiled step, clamped at both ends.

    Any optimizer of Keras takes it as learning rate, but only `OneCycleSGD` as momentum: `momentum`
    of `keras.optimizers.SGD` and `beta_1` of Adam must be numbers.

    Args:
        values: sequence of finite floats, shape (steps,), for step 0, 1, ... Kept in float64 and
            handed to the compiled step in float32.
        name: str, for the reader of a saved configuration.

    Raises:
        ValueError: if `values` is empty, not one-dimensional or not finite.
    """

    def __init__(self, values, name="schedule"):
        values = np.array(values, np.float64)
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise ValueError(
                f"Received values of shape {values.shape}, all finite: "
                f"{bool(np.isfinite(values).all())}; pass a list of finite numbers, one a step."
            )
        values.flags.writeable = False
        self.values = values
        self.name = name

    def __call__(self, step):
        """Value at `step` (integer scalar: number, tensor or variable) as a float32 tensor."""
        index = keras.ops.clip(keras.ops.cast(step, "int32"), 0, len(self.values) - 1)
        return keras.ops.take(self.values.astype("float32"), index)

    def get_config(self):
        return {"values": self.values.tolist(), "name": self.name}


@keras.saving.register_keras_serializable(package="assignment")
class OneCycleSGD(keras.optimizers.Optimizer):
    """SGD whose learning rate and momentum both move inside the compiled step.

    `keras.optimizers.SGD` reads its momentum while the step is traced, so changing it later has
    no effect. Here it is looked up at `self.iterations`, as the learning rate is. The rule is that
    of Keras (and Caffe, in which Smith and Topin worked): m = mu m - lr g, w = w + m. PyTorch keeps
    the learning rate out of the velocity: v = mu v + g, w = w - lr v. Both agree for a constant
    learning rate; while it changes, Keras's rule takes past gradients at the learning rate they
    came with. It is used here so that constant settings, such as those of the 2019 submission,
    give what `keras.optimizers.SGD` gives. Under a `LossScaleOptimizer`, a skipped step does not
    count: the schedule waits, and the run ends that many steps before the end of the table.

    Args:
        learning_rate: float or `ScheduleTable`.
        momentum: float in [0, 1), or `ScheduleTable` of such values.
        nesterov: bool; w = w + mu m - lr g instead, with the new m.
        **kwargs: of `keras.optimizers.Optimizer`, such as `clipnorm`, `weight_decay`, `name`.

    Raises:
        ValueError: if a momentum is outside [0, 1), or for `gradient_accumulation_steps`.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, nesterov=False, **kwargs):
        if kwargs.get("gradient_accumulation_steps"):
            raise ValueError(
                "Received gradient_accumulation_steps="
                f"{kwargs['gradient_accumulation_steps']}; a table has one value for each batch. "
                "Use a larger batch instead."
            )
        super().__init__(learning_rate=learning_rate, **kwargs)
        values = momentum.values if isinstance(momentum, ScheduleTable) else momentum
        if not isinstance(momentum, (numbers.Real, ScheduleTable)) or not (
            np.min(values) >= 0 and np.max(values) < 1
        ):
            raise ValueError(
                f"Received momentum={momentum!r}; pass a number in [0, 1) or a ScheduleTable of "
                "such numbers."
            )
        self.momentum = momentum if isinstance(momentum, ScheduleTable) else float(momentum)
        self.nesterov = nesterov

    def build(self, variables):
        """Create one velocity for each trainable variable."""
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        """Move one variable; `learning_rate` is that of this step."""
        momentum = self.momentum
        if isinstance(momentum, ScheduleTable):
            momentum = momentum(self.iterations)
        momentum = keras.ops.cast(momentum, variable.dtype)
        step = keras.ops.cast(learning_rate, variable.dtype) * keras.ops.cast(
            gradient, variable.dtype
        )
        velocity = self.velocities[self._get_variable_index(variable)]
        self.assign(velocity, momentum * velocity - step)
        self.assign_add(variable, momentum * velocity - step if self.nesterov else velocity)

    def get_config(self):
        momentum = keras.saving.serialize_keras_object(self.momentum)
        return {**super().get_config(), "momentum": momentum, "nesterov": self.nesterov}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        momentum = keras.saving.deserialize_keras_object(config["momentum"], custom_objects)
        return super().from_config({**config, "momentum": momentum}, custom_objects)
