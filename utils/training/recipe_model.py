"""A recipe's network, built for a training set and compiled with loss and schedules.

Importing this module registers every class of the project that a saved model may hold.
"""

import keras

from utils.data.dataset import channel_statistics, pixel_mean
from utils.data.image_arrays import check_images
from utils.model.augment import Augment
from utils.model.resnet import resnet_v2
from utils.training.devices import device_count
from utils.training.loss import SmoothedCrossentropy
from utils.training.optimizer import OneCycleSGD, ScheduleTable
from utils.training.recipe_schedule import schedule_values


def build_model(recipe, x_train, *, seed=0, dtype="float32"):
    """Builds the recipe's network for a training set, which decides the normalization.

    Args:
        recipe: `utils.settings.Recipe`.
        x_train: uint8 (n, 32, 32, 3), the images to train on.
        seed: int; also seeds Python, NumPy and the backend, so that the weights repeat.
        dtype: Keras dtype policy of the layers.

    Returns:
        A `keras.Model`, not compiled.

    Raises:
        ValueError: on an unknown normalization, images of another form, or an argument that the
            layers refuse.
    """
    x_train = check_images(x_train, (32, 32, 3))
    keras.utils.set_random_seed(seed)
    if recipe.normalization == "channel":
        mean, std = channel_statistics(x_train)
    elif recipe.normalization == "pixel_mean":
        mean, std = pixel_mean(x_train), 255.0
    else:
        raise ValueError(
            f"normalization must be 'channel' or 'pixel_mean', got {recipe.normalization!r}."
        )
    return resnet_v2(
        recipe.depth,
        mean=mean,
        std=std,
        l2=recipe.l2,
        bn_momentum=recipe.bn_momentum,
        augment=augmenter(recipe, seed),
        dtype=dtype,
    )


def augmenter(recipe, seed=0):
    """The recipe's augmentation, a `utils.model.augment.Augment` for normalized images."""
    return Augment(
        recipe.shift,
        recipe.flip,
        recipe.erase_probability,
        erase_area=recipe.erase_area,
        erase_fill=recipe.erase_fill,
        seed=seed,
    )


def compile_model(model, recipe, train_images, *, on_gpu=False):
    """Compiles a model for its recipe: schedules inside the step, loss from logits.

    Args:
        model: `keras.Model` from `build_model`.
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.
        on_gpu: bool; XLA pays on an accelerator, on a CPU TensorFlow's own kernels start sooner.

    Returns:
        The same model.
    """
    rate, momentum = schedule_values(recipe, train_images)
    optimizer = OneCycleSGD(learning_rate=ScheduleTable(rate), momentum=ScheduleTable(momentum))
    # Layers carry their own policy, so Keras cannot see by itself that gradients may underflow.
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer,
        loss=SmoothedCrossentropy(recipe.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        # XLA and MirroredStrategy do not go together: github.com/keras-team/keras/issues/17187
        jit_compile=keras.backend.backend() == "jax" or (on_gpu and device_count() == 1),
    )
    return model
