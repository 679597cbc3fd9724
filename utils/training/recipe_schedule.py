"""What a recipe means step by step: how many steps, and the learning rate and momentum of each."""

import math
import numbers

import numpy as np

from utils.number_checks import check_whole
from utils.training import schedule

SCHEDULES = ("one_cycle", "step_decay", "seed_triangle")


def steps_per_epoch(recipe, train_images):
    """Steps of one epoch; the last batch is filled up, see `Batches`.

    Raises:
        ValueError: when `train_images` is no number of images, or the batch size none.
    """
    if not isinstance(train_images, numbers.Integral) or train_images < 1:
        raise ValueError(
            f"Received a {type(train_images).__name__} as train_images; pass the number of "
            f"training images, such as len(x_train), at least 1."
        )
    batch_size = check_whole("batch_size", recipe.batch_size, 1)
    return math.ceil(train_images / min(batch_size, train_images))


def schedule_values(recipe, train_images):
    """Learning rate and momentum of every training step.

    Args:
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.

    Returns:
        Two float64 arrays of length epochs x steps per epoch.

    Raises:
        ValueError: on an unknown schedule, impossible settings of it, or settings that it does not
            have, which would be noted and not used.
    """
    if recipe.schedule not in SCHEDULES:
        raise ValueError(
            f"schedule must be one of {', '.join(SCHEDULES)}, got {recipe.schedule!r}."
        )
    if recipe.schedule != "one_cycle" and recipe.base_momentum != recipe.max_momentum:
        raise ValueError(
            f"The schedule {recipe.schedule} has a fixed momentum, but base_momentum is "
            f"{recipe.base_momentum} and max_momentum {recipe.max_momentum}: make them equal."
        )
    if recipe.schedule == "seed_triangle" and recipe.max_lr != schedule.SEED_PEAK:
        raise ValueError(
            f"The schedule seed_triangle has its own peak, {schedule.SEED_PEAK}, but max_lr is "
            f"{recipe.max_lr}: leave it at {schedule.SEED_PEAK}, or take the recipe one-cycle."
        )
    steps = steps_per_epoch(recipe, train_images)
    total = check_whole("epochs", recipe.epochs, 1) * steps
    if recipe.schedule == "one_cycle":
        step = np.arange(total)
        rate = schedule.one_cycle(step, total, recipe.max_lr, pct_start=recipe.pct_start)
        momentum = schedule.one_cycle_momentum(
            step,
            total,
            pct_start=recipe.pct_start,
            max_momentum=recipe.max_momentum,
            base_momentum=recipe.base_momentum,
        )
        return rate, momentum
    if recipe.schedule == "seed_triangle":
        # In a run of another length the triangle of the 50 epochs of 2019 is stretched: from its
        # first to its last epoch, where it lies at the base again.
        place = np.arange(recipe.epochs) * 49 / max(recipe.epochs - 1, 1)
        rate = np.repeat(schedule.seed_triangle(place), steps)
        return rate, np.full(total, recipe.max_momentum)
    rate = schedule.step_decay(np.arange(total), total, recipe.max_lr)
    return rate, np.full(total, recipe.max_momentum)


def decay_e_foldings(recipe, train_images):
    """How often the L2 penalty alone would shrink the kernels by a factor e in the whole run.

    A step multiplies a kernel by 1 - 2 l2 lr, and momentum adds up 1 / (1 - momentum) such steps.
    Where batch normalization follows a convolution, the size of its kernel does not matter; there
    the penalty acts through the effective learning rate (van Laarhoven 2017,
    https://arxiv.org/abs/1706.05350), or, seen otherwise, makes the kernel a moving average of its
    updates (Wang and Aitchison 2024, https://arxiv.org/abs/2405.13698, for AdamW): the more
    e-foldings in a run, the fewer of its steps the final weights average over.

    Args:
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.

    Returns:
        float >= 0, the sum of 2 l2 lr / (1 - momentum) over all steps.

    Raises:
        ValueError: as `schedule_values`.
    """
    rate, momentum = schedule_values(recipe, train_images)
    return float(np.sum(2 * recipe.l2 * rate / (1 - momentum)))
