"""The knobs: training recipes, and the profiles full, quick and smoke."""

import os
from dataclasses import dataclass, replace

from utils.location import clean_location

PROFILES = ("full", "quick", "smoke")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained, apart from the data and the seed.

    Attributes:
        name: a key of `RECIPES`; the other fields tell whether it was scaled down.
        depth: ResNet v2 depth, 9n + 2.
        epochs: passes over the training set.
        batch_size: images a step.
        schedule: `"one_cycle"` or `"step_decay"` (a value a step), or `"seed_triangle"` (a value
            an epoch, stretched in a run of other than 50).
        max_lr: peak learning rate of `one_cycle`, first one of `step_decay`; `seed_triangle` has
            its own.
        pct_start: share of the steps spent rising to the peak.
        max_momentum, base_momentum: momentum before and after the rise; equal means fixed.
        l2: coefficient of the L2 penalty; Keras's gradient of it is 2 * l2 * w.
        label_smoothing: share of the target spread evenly over all classes.
        bn_momentum: momentum of the moving batch-norm statistics.
        normalization: `"channel"` (mean and deviation of each channel) or `"pixel_mean"`
            (the mean image is subtracted from pixels scaled to 0..1).
        shift, flip, erase_probability, erase_area, erase_fill: see `utils.model.augment.Augment`.
    """

    name: str
    depth: int = 56
    epochs: int = 50
    batch_size: int = 512
    schedule: str = "one_cycle"
    max_lr: float = 0.4
    pct_start: float = 0.3
    max_momentum: float = 0.95
    base_momentum: float = 0.85
    l2: float = 1.5e-4
    label_smoothing: float = 0.1
    bn_momentum: float = 0.9
    normalization: str = "channel"
    shift: int = 4
    flip: bool = True
    erase_probability: float = 0.0
    erase_area: tuple = (0.02, 0.4)
    erase_fill: tuple = (0.0, 0.0)


RECIPES = {
    # Peak and L2 penalty go together: see `utils.commands.studies.decay`, which chose the penalty.
    "one-cycle": Recipe(name="one-cycle", erase_probability=0.25, erase_area=(0.02, 0.25)),
    # What one-cycle is compared with: the same but for the schedule, He et al.'s. Their rate of
    # 0.1 for batches of 128 is 0.4 for batches of 512.
    "step-decay": Recipe(
        name="step-decay",
        schedule="step_decay",
        max_lr=0.4,
        max_momentum=0.9,
        base_momentum=0.9,
        erase_probability=0.25,
        erase_area=(0.02, 0.25),
    ),
    # The submission of 2019, faults included: the fill 0..1 ignores the mean subtraction, the
    # batch-norm statistics lag, and the momentum never moves. A shift of 0.1 is 3 pixels.
    "seed-2019": Recipe(
        name="seed-2019",
        schedule="seed_triangle",
        max_lr=1.0,
        max_momentum=0.95,
        base_momentum=0.95,
        l2=1e-4,
        label_smoothing=0.0,
        bn_momentum=0.99,
        normalization="pixel_mean",
        shift=3,
        erase_probability=0.5,
        erase_fill=(0.0, 1.0),
    ),
}


@dataclass(frozen=True)
class Settings:
    """What one run of the notebook does.

    Attributes:
        profile: `"full"`, `"quick"` or `"smoke"`.
        data: `"auto"`, `"cifar10"`, `"shapes"` or the path of a local folder.
        recipe: the training recipe, scaled to the profile.
        train_images, test_images: the most images to use; None means all.
        range_test_steps: length of the learning-rate range test.
        explain_images: how many test images insertion and deletion use.
        painted_images: how many painted shapes the pointing game uses.
        seed: seed of weights, data order and augmentation.
    """

    profile: str
    data: str
    recipe: Recipe
    train_images: int | None
    test_images: int | None
    range_test_steps: int
    explain_images: int
    painted_images: int
    seed: int = 0

    @property
    def full_recipe(self):
        """Whether the recipe is trained whole, as for the result that the repository reports."""
        return self.profile == "full"


def load_settings(profile=None, data=None, *, on_gpu=False, environ=None):
    """Chooses profile and data source: argument first, then environment, then default.

    Args:
        profile: `"full"`, `"quick"`, `"smoke"`, or None or `""` for the environment variable
            `ASSIGNMENT_PROFILE`, and without that `"full"` on a GPU, else `"quick"`.
        data: a source for `utils.data.sources.load_dataset`, or None or `""` for the environment
            variable `ASSIGNMENT_DATA`, and without that `"auto"`. Both are cleaned by
            `utils.location.clean_location`, so that a pair of blanks or of quotes is empty, too.
        on_gpu: bool, whether the backend computes on an accelerator.
        environ: mapping, by default `os.environ`.

    Returns:
        `Settings`.

    Raises:
        ValueError: on an unknown profile.
    """
    environ = os.environ if environ is None else environ

    def choose(value, name, otherwise):
        return clean_location(value or "") or clean_location(environ.get(name, "")) or otherwise

    profile = choose(profile, "ASSIGNMENT_PROFILE", "full" if on_gpu else "quick").lower()
    data = choose(data, "ASSIGNMENT_DATA", "auto")
    recipe = RECIPES["one-cycle"]
    if profile == "full":
        return Settings(profile, data, recipe, None, None, 100, 1000, 1000)
    if profile == "quick":
        # The peak: near the best of runs/studies/peaks, also 4 epochs with batches of 128. The
        # sizes: below ten minutes in all on two CPU cores without bfloat16.
        recipe = replace(recipe, depth=20, epochs=4, batch_size=128, max_lr=0.4)
        return Settings(profile, data, recipe, 6_000, 10_000, 100, 150, 500)
    if profile == "smoke":
        recipe = replace(recipe, depth=11, epochs=2, batch_size=32)
        return Settings(profile, data, recipe, 256, 100, 20, 20, 50)
    raise ValueError(
        f"Unknown profile {profile!r}; choose one of {', '.join(PROFILES)} in the form field or "
        f"in the environment variable ASSIGNMENT_PROFILE."
    )
