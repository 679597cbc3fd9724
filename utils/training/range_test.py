"""Learning-rate range test: one short sweep that shows which learning rates a model bears.

Smith 2015 (arXiv 1506.01186, section 3.3): raise the learning rate a little at every batch and
watch the loss. The model is given back exactly as it was.
"""

import numbers

import numpy as np

from utils.out_of_memory import batches_of
from utils.progress import progress
from utils.training.batch_source import (
    check_finite,
    checked,
    endless,
    held_out_batches,
    one_pass,
    readable,
)
from utils.training.lr_curve import MIN_POINTS, RangeTestResult
from utils.training.trial_model import restored, trial_model


def range_test(
    model,
    batches,
    *,
    start_lr=1e-4,
    end_lr=10.0,
    num_steps=100,
    sweep="exponential",
    beta=0.98,
    stop_factor=4.0,
    held_out=None,
):
    """Train for a few steps at a growing learning rate, then put everything back.

    The steps run on a second `keras.Model` that shares the layers, with a fresh optimizer of the
    same kind; a momentum table is held at its lowest value, the one that one-cycle has at its
    peak, because the effective step also grows with the momentum. The compiled step, the optimizer
    and the metrics of `model` are never touched. Its weights, batch-norm statistics and seed
    generators, and the global random states of Python and NumPy, are restored even if the test
    is interrupted. Not restored: what `batches` itself consumes, such as a generator's position.

    Args:
        model: compiled functional or Sequential `keras.Model` with one input and one output.
            Its `loss` is used, `loss_weights` are not.
        batches: iterable of (x, y) or (x, y, sample_weight), each an array, a tensor of any
            library or a list of numbers; a list, a `PyDataset`, a `tf.data.Dataset` or a
            `DataLoader` of PyTorch is begun again when it ends before `num_steps`.
        start_lr, end_lr: floats, 0 < start_lr < end_lr; learning rate of first and last step.
        num_steps: int >= 11, the least that leaves 5 points for `suggest`; better 100.
        sweep: "exponential" (equal factors) or "linear" (equal differences).
        beta: float in [0, 1), of the exponential mean; 0 does not smooth.
        stop_factor: float > 1; stop once the smoothed loss is this many times its lowest value.
        held_out: batches in any of these forms that come to an end (where their number is not
            known, within 1,000); what has no index is read once, into memory. Judge every learning
            rate by the loss on them after its step, without augmentation and dropout, rather than
            by the loss of the step's own batch. Calmer, and a forward pass of all of them a step
            dearer. Batch normalization takes its moving averages there, which need a few steps to
            follow: not for a network that has just been built.

    Returns:
        `utils.training.lr_curve.RangeTestResult`. A loss that is NaN or infinite ends the test and
        is not recorded.

    Raises:
        ValueError: for settings outside these limits, a model that is not compiled with a loss,
            not functional or has a training step of its own, batches that end too early, none or
            too many that are held out, inputs or a first loss that are not finite, or such targets
            or sample weights where they spoil the loss.
    """
    _check_settings(start_lr, end_lr, num_steps, sweep, beta, stop_factor)
    batches = readable(batches, "batches")
    if held_out is not None:
        held_out = held_out_batches(held_out)
    space = np.geomspace if sweep == "exponential" else np.linspace
    rates, losses, smoothed = [], [], []
    mean = 0.0
    stopped_because = "completed: all learning rates were tried."
    with restored(model):
        trial = trial_model(model, start_lr)
        stream = endless(batches, num_steps)
        learning_rates = space(start_lr, end_lr, num_steps).tolist()
        for step, lr in enumerate(progress(learning_rates, "range test: step")):
            trial.optimizer.learning_rate = lr
            trial.reset_metrics()  # else old versions of Keras give a mean over all steps so far
            where = f"the batch of step {step}"
            batch = checked(next(stream), trial, where)
            loss = _loss(trial.train_on_batch, batch, "batches", where)
            if held_out is not None:
                loss = _mean_loss(trial, held_out)
            if not np.isfinite(loss):
                kind = "NaN" if np.isnan(loss) else "infinite"
                where = f"loss is {kind} at learning rate {lr:.3g} (step {step} of {num_steps})."
                if step == 0:
                    raise ValueError(f"The {where} Check the inputs, or lower start_lr.")
                stopped_because = where
                break
            mean = beta * mean + (1 - beta) * loss
            rates.append(lr)
            losses.append(loss)
            smoothed.append(mean / (1 - beta ** (step + 1)))
            best = min(smoothed)
            # For a positive loss: smoothed > stop_factor * best.
            if smoothed[-1] > best + (stop_factor - 1) * abs(best):
                stopped_because = (
                    f"diverged: at learning rate {lr:.3g} the smoothed loss {smoothed[-1]:.3g} "
                    f"exceeds {stop_factor:g} times its lowest value {best:.3g}."
                )
                break
    arrays = (np.array(values) for values in (rates, losses, smoothed))
    measured_on = "batch" if held_out is None else "held-out"
    return RangeTestResult(*arrays, num_steps, stopped_because, measured_on, beta)


def _mean_loss(model, batches):
    """Mean loss over all samples of the batches."""
    total = count = 0
    for i, batch in enumerate(one_pass(batches)):
        model.reset_metrics()  # as above
        where = f"held_out batch {i}"
        batch = checked(batch, model, where)
        loss = _loss(model.test_on_batch, batch, "held_out", where)
        total, count = total + loss * len(batch[0]), count + len(batch[0])
    return total / count


def _loss(step, batch, name, where):
    """What a step on a batch gives as its loss; one that does not fit or is not finite is named."""

    def smaller(half):
        return (
            f"Pass {name} of {half} images, such as Batches(images, labels, {half}, seed=0); in "
            f"utils.commands.peak_study, --batch-size {half}."
        )

    with batches_of(len(batch[0]), smaller):
        loss = float(step(*batch, return_dict=True)["loss"])
    if not np.isfinite(loss):
        check_finite(batch, where)
    return loss


def _check_settings(start_lr, end_lr, num_steps, sweep, beta, stop_factor):
    if not 0 < start_lr < end_lr < np.inf:
        raise ValueError(
            f"Received start_lr={start_lr}, end_lr={end_lr}; use 0 < start_lr < end_lr, finite."
        )
    whole = isinstance(num_steps, numbers.Integral)
    if not whole or num_steps - num_steps // 10 - 5 < MIN_POINTS:
        raise ValueError(
            f"Received num_steps={num_steps!r}; use a whole number of at least 11, better 100."
        )
    if sweep not in ("exponential", "linear"):
        raise ValueError(f'Received sweep={sweep!r}; use "exponential" or "linear".')
    if not 0 <= beta < 1:
        raise ValueError(f"Received beta={beta}; use 0 <= beta < 1, for example 0.98.")
    if not stop_factor > 1:
        raise ValueError(f"Received stop_factor={stop_factor}; use a factor > 1, for example 4.")
