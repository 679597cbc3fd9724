"""Learning rate and momentum of a recipe: the log of 2019, and what the penalty does."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.settings import RECIPES
from utils.training.recipe_schedule import decay_e_foldings, schedule_values, steps_per_epoch

SEED_LOG = Path(__file__).parents[1] / "golden" / "seed_epoch_log.csv"


def test_recipe_of_2019_has_the_learning_rates_of_its_log():
    recipe = RECIPES["seed-2019"]
    rate, momentum = schedule_values(recipe, 50_000)
    assert steps_per_epoch(recipe, 50_000) == 98 and len(rate) == 4900
    with SEED_LOG.open() as file:
        logged = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    np.testing.assert_array_equal(rate.reshape(50, 98), np.tile(logged, (98, 1)).T)
    assert set(momentum) == {0.95}


@pytest.mark.parametrize("epochs", [1, 6, 12, 200])
def test_in_another_length_the_triangle_of_2019_is_stretched_and_comes_down_again(epochs):
    """Cut off after a few epochs it would still be rising, and be worth nothing in a comparison."""
    recipe = replace(RECIPES["seed-2019"], epochs=epochs)
    rate = schedule_values(recipe, 50_000)[0][::98]
    assert len(rate) == epochs and rate[0] == rate[-1] == 0.05
    if epochs > 1:
        assert rate.max() > 0.8 and abs(rate.argmax() / (epochs - 1) - 23 / 49) < 0.1


def test_decay_e_foldings_tell_how_much_the_penalty_alone_shrinks_a_kernel():
    recipe = RECIPES["one-cycle"]
    kernel, velocity = 1.0, 0.0
    for rate, momentum in zip(*schedule_values(recipe, 50_000)):
        velocity = momentum * velocity - rate * 2 * recipe.l2 * kernel
        kernel += velocity
    expected = decay_e_foldings(recipe, 50_000)
    assert -np.log(kernel) == pytest.approx(expected, rel=0.02)
    twice = replace(recipe, l2=2 * recipe.l2)
    assert decay_e_foldings(twice, 50_000) == pytest.approx(2 * expected)


@pytest.mark.parametrize("images", [np.zeros((5, 1)), 0, 2.5, "all"])
def test_what_is_no_number_of_images_is_refused(images):
    with pytest.raises(ValueError, match=r"pass the number of training images.*len\(x_train\)"):
        schedule_values(RECIPES["one-cycle"], images)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("field", ["batch_size", "epochs"])
@pytest.mark.parametrize("value", [0, 1.5])
def test_a_run_has_at_least_one_image_a_batch_and_one_epoch(recipe, field, value):
    with pytest.raises(ValueError, match=f"{field} must be a whole number of 1 or more, got "):
        schedule_values(replace(RECIPES[recipe], **{field: value}), 1000)


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [
        ("seed-2019", {"max_lr": 0.1}, "its own peak, 1.0, but max_lr is 0.1.*recipe one-cycle"),
        ("seed-2019", {"base_momentum": 0.5}, "base_momentum is 0.5 and max_momentum 0.95"),
        ("step-decay", {"max_momentum": 0.99}, "fixed momentum.*make them equal"),
    ],
)
def test_what_a_schedule_does_not_use_is_refused(recipe, changes, words):
    """A record would note it as the value of the training."""
    with pytest.raises(ValueError, match=words):
        schedule_values(replace(RECIPES[recipe], **changes), 1000)
    schedule_values(replace(RECIPES["one-cycle"], **changes), 1000)  # the remedy
    equal = {"max_momentum": 0.5, "base_momentum": 0.5}  # the other one
    assert set(schedule_values(replace(RECIPES[recipe], **equal), 1000)[1]) == {0.5}
