"""The sentences about range test, schedule, training and test set, on made-up runs."""

from dataclasses import replace

import numpy as np
import pytest

from utils.settings import RECIPES
from utils.training.answers import (
    evaluation_answer,
    range_test_answer,
    schedule_answer,
    training_answer,
)
from utils.training.evaluation import Predictions
from utils.training.lr_curve import RangeTestResult
from utils.training.recipe_schedule import schedule_values


def said(text):
    assert max(map(len, text.splitlines())) <= 92
    return " ".join(text.split())


def valley(lowest, noise=0.0):
    lr = np.geomspace(1e-4, 10, 100)
    smoothed = 2.5 - np.exp(-(np.log(lr / lowest) ** 2) / 4)
    loss = smoothed + noise * np.random.default_rng(0).normal(size=100)
    return RangeTestResult(lr, loss, smoothed, 100, "completed.")


@pytest.mark.parametrize(("max_lr", "place"), [(0.4, "below"), (3.0, "not below")])
def test_the_range_test_names_the_lowest_loss_and_where_the_peak_lies(max_lr, place):
    result = valley(0.9)
    lowest = result.lr[np.argmin(result.smoothed)]
    assert said(range_test_answer(result, max_lr)) == (
        f"In this run the smoothed loss is lowest, 1.50, at a learning rate of {lowest:.3g}, so "
        f"the test proposes a peak of {lowest / 10**0.5:.3g}; the recipe's peak, {max_lr:g}, is "
        f"{max_lr / lowest * 10**0.5:.2g} times that and {place} the rate of the lowest loss."
    )


def test_the_doubt_of_a_curve_is_called_to_mind():
    result = valley(0.9, noise=5.0)
    assert result.doubt()
    assert said(range_test_answer(result, 0.4)).endswith("lowest loss; mind the doubt above.")


def test_the_schedule_names_ends_peak_and_effective_step():
    rate, momentum = np.array([0.1, 0.4, 0.2, 0.001]), np.array([0.95, 0.85, 0.9, 0.95])
    assert said(schedule_answer(rate, momentum)) == (
        "In this run of 4 steps the learning rate rises from 0.1 to 0.4 at step 1 and falls to "
        "0.001; the momentum goes from 0.95 down to 0.85 and back, so the effective step reaches "
        "2.67, where a momentum fixed at 0.95 would let it reach 8.00."
    )


def epochs(*pairs, first=0.0):
    """Epochs of (learning rate of the last step, accuracy); `first` is the rate before them."""
    rows = []
    for number, (rate, accuracy) in enumerate(pairs, start=1):
        rows.append({"epoch": number, "learning_rate_first": first, "learning_rate_last": rate})
        rows[-1]["val_accuracy"], first = accuracy, 0.999 * rate
    return rows


def test_a_peak_inside_an_epoch_is_that_epochs():
    """As in the quick profile: four epochs, the peak after 30 % of the steps."""
    recipe = replace(RECIPES["one-cycle"], epochs=4, batch_size=128)
    rate, _ = schedule_values(recipe, 6000)
    ends = rate.reshape(4, -1)[:, [0, -1]]
    assert ends[0, 1] > ends[1, 1], "the end of the epoch before is higher"
    history = [
        {"epoch": n, "learning_rate_first": a, "learning_rate_last": b, "val_accuracy": n / 10}
        for n, (a, b) in enumerate(ends, start=1)
    ]
    assert "20.00% after epoch 2, where the learning rate is" in said(training_answer(history))


def test_the_training_is_told_from_the_peak_to_the_end():
    assert said(training_answer(epochs((0.1, 0.3), (0.4, 0.5), (0.0, 0.75)))) == (
        "In this run the test accuracy is 50.00% after epoch 2, where the learning rate is "
        "highest, and 75.00% after the last, epoch 3: +25.00 points while the rate falls."
    )


def test_a_training_that_gets_worse_or_has_no_fall_is_told_as_it_is():
    assert "-10.00 points" in said(training_answer(epochs((0.4, 0.3), (0.1, 0.2))))
    assert said(training_answer(epochs((0.4, 0.3)))) == (
        "In this run the test accuracy is 30.00% after the last, epoch 1, in which the rate was "
        "highest."
    )


def test_the_test_set_names_accuracy_best_and_worst_class_and_mix_up():
    labels = np.repeat([0, 1, 2], 4)
    predicted = np.array([0, 0, 0, 0, 1, 1, 1, 0, 2, 1, 1, 2])
    test = Predictions(labels, np.eye(3)[predicted])
    assert said(evaluation_answer(test, ("cat", "dog", "frog"), (0.5, 0.9))) == (
        "The network has 9 of 12 test images right, 75.00% (95 % interval 50.0% to 90.0%); best is "
        "cat with 100.0%, worst frog with 50.0%, and the most frequent mistake takes frog for dog, "
        "2 times."
    )


def test_where_all_is_right_no_mistake_is_named():
    test = Predictions(np.arange(3), np.eye(3))
    assert said(evaluation_answer(test, "abc", (0.4, 1.0))).endswith(", and no image is mistaken.")
