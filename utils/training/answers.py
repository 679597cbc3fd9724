"""What the notebook says about range test, schedule, training and test: a sentence of each run."""

import numpy as np

from utils.text_table import fold_lines


def range_test_answer(result, max_lr):
    """Where the loss is lowest, which peak that proposes, and where the recipe's peak lies.

    Args:
        result: `utils.training.lr_curve.RangeTestResult`.
        max_lr: float, the peak learning rate of the recipe.

    Returns:
        str, one sentence in lines.

    Raises:
        ValueError: as `RangeTestResult.suggest`.
    """
    proposed, lowest = result.peak().lr, 10 * result.suggest().minimum
    loss = result.smoothed[np.argmin(np.abs(result.lr - lowest))]
    place = "below" if max_lr < lowest else "not below"
    return fold_lines(
        f"In this run the smoothed loss is lowest, {loss:.2f}, at a learning rate of {lowest:.3g}, "
        f"so the test proposes a peak of {proposed:.3g}; the recipe's peak, {max_lr:g}, is "
        f"{max_lr / proposed:.2g} times that and {place} the rate of the lowest loss"
        + ("; mind the doubt above." if result.doubt() else ".")
    )


def schedule_answer(rate, momentum):
    """How the learning rate moves, and what the moving momentum does to the effective step.

    Args:
        rate, momentum: (steps,) of every step.

    Returns:
        str, one sentence in lines.
    """
    effective, peak = rate / (1 - momentum), int(np.argmax(rate))
    return fold_lines(
        f"In this run of {len(rate):,} steps the learning rate rises from {rate[0]:.3g} to "
        f"{rate[peak]:.3g} at step {peak:,} and falls to {rate[-1]:.2g}; the momentum goes from "
        f"{momentum[0]:g} down to {momentum.min():.3g} and back, so the effective step reaches "
        f"{effective.max():.2f}, where a momentum fixed at {momentum[0]:g} would let it reach "
        f"{rate.max() / (1 - momentum[0]):.2f}."
    )


def training_answer(history):
    """How accurate the network was at the highest learning rate, and how accurate in the end.

    Args:
        history: list of dicts as `utils.training.fit.fit` returns, at least one.

    Returns:
        str, one sentence in lines.
    """
    last = history[-1]
    # Where a rise and a fall meet inside an epoch, one of its ends is still above all others.
    ends = ("learning_rate_first", "learning_rate_last")
    peak = max(history, key=lambda row: max(row[end] for end in ends))
    end = f"{last['val_accuracy']:.2%} after the last, epoch {last['epoch']}"
    if peak is last:
        return fold_lines(f"In this run the test accuracy is {end}, in which the rate was highest.")
    gained = 100 * (last["val_accuracy"] - peak["val_accuracy"])
    return fold_lines(
        f"In this run the test accuracy is {peak['val_accuracy']:.2%} after epoch "
        f"{peak['epoch']}, where the learning rate is highest, and {end}: {gained:+.2f} points "
        f"while the rate falls."
    )


def evaluation_answer(predictions, class_names, interval):
    """How many test images are right, the best and the worst class, and the worst mix-up.

    Args:
        predictions: `utils.training.evaluation.Predictions`.
        class_names: names of the classes, each of which occurs.
        interval: (low, high) in 0..1, the 95 % interval of the accuracy.

    Returns:
        str, one sentence in lines.
    """
    counts, correct = predictions.confusion(), predictions.correct
    shares = counts.diagonal() / counts.sum(axis=1)
    best, worst = shares.argmax(), shares.argmin()
    mistakes = counts - np.diag(counts.diagonal())
    true, taken = np.unravel_index(mistakes.argmax(), mistakes.shape)
    mix_up = "no image is mistaken"
    if mistakes.any():
        mix_up = f"the most frequent mistake takes {class_names[true]} for {class_names[taken]}, "
        mix_up += f"{mistakes.max():,} times"
    return fold_lines(
        f"The network has {correct.sum():,} of {len(correct):,} test images right, "
        f"{correct.mean():.2%} (95 % interval {interval[0]:.1%} to {interval[1]:.1%}); best is "
        f"{class_names[best]} with {shares[best]:.1%}, worst {class_names[worst]} with "
        f"{shares[worst]:.1%}, and {mix_up}."
    )
