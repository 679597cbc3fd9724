"""Training on several devices of one machine, by the engines of TensorFlow and Keras.

Batch, schedule and result stay those of one device: each of n devices computes an n-th of every
batch, batch normalization takes its statistics over all of them, and the random numbers of the
augmentation are those of the whole batch.
"""

import contextlib
import os

import keras

VARIABLE = "ASSIGNMENT_DEVICES"


def choose_devices(count=None, environ=None):
    """The devices to train on: argument first, then environment, then all GPUs, or one CPU.

    Args:
        count: int, how many, or None for the environment variable `ASSIGNMENT_DEVICES`.
        environ: mapping, by default `os.environ`.

    Returns:
        List of names, such as `["gpu:0", "gpu:1"]`; accelerators only, where there are any.

    Raises:
        ValueError: on a number that is no whole one, or more devices than there are.
    """
    # Keras lists no devices of PyTorch, on which this project trains on one.
    on_torch = keras.backend.backend() == "torch"
    names = ["cpu:0"] if on_torch else keras.distribution.list_devices()
    wanted = count
    if count is None:
        wanted = (os.environ if environ is None else environ).get(VARIABLE) or None
    if wanted is None:
        return names[:1] if names[0].startswith("cpu") else names
    if not str(wanted).isdecimal() or not 1 <= int(wanted) <= len(names):
        raise ValueError(
            f"Received {wanted} as the number of devices to train on; this machine has "
            f"{len(names)} ({', '.join(names)}). Give --devices or {VARIABLE} a whole number from "
            f"1 to {len(names)}."
        )
    return names[: int(wanted)]


@contextlib.contextmanager
def distributed(names):
    """Spreads what is built, compiled and trained in the block over devices.

    Args:
        names: list from `choose_devices`. A single one changes nothing.

    Raises:
        ValueError: for several devices on a backend other than TensorFlow and JAX.
    """
    if len(names) == 1:
        yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # only here: JAX lives without it

        with tf.distribute.MirroredStrategy(names).scope():
            yield
    elif keras.backend.backend() == "jax":
        with keras.distribution.DataParallel(devices=names).scope():
            yield
    else:
        raise ValueError(
            f"Training on {len(names)} devices needs TensorFlow or JAX, this is "
            f"{keras.backend.backend()}. Pass the name of one."
        )


def device_count():
    """How many devices share a step in the present `distributed` block; 1 outside of one."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_strategy().num_replicas_in_sync
    distribution = keras.distribution.distribution()
    return distribution.device_mesh.devices.size if distribution else 1
