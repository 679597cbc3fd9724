"""Learning-rate range test: one short sweep that shows which learning rates a model bears.

Smith 2015 (arXiv 1506.01186, section 3.3): raise the learning rate a little at every batch and
watch the loss. The model is given back exactly as it was.
"""

import csv
import numbers
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from utils.schedule import ScheduleTable

_SLIDE_WIDTH = 15  # points between the two ends of the window of the rule "slide"
_MIN_POINTS = 5
_CSV_FIELDS = ("step", "learning_rate", "loss", "smoothed")
_CSV_FIELDS += ("num_steps", "measured_on", "beta", "stopped_because")  # the same in every row
_CLEAR_FALL = 4.0  # noise of the smoothed loss; a fall of less may be chance


class Suggestions(NamedTuple):
    """Learning rates picked from a range test by the four rules of fastai's `lr_find`.

    Attributes:
        steep: where the loss falls fastest against the logarithm of the learning rate.
        minimum: a tenth of the learning rate at the lowest loss.
        valley: about half-way down the longest valley.
        slide: left end of the last 15-step window whose two slopes are about equal; NaN if there
            are fewer than 16 points (fastai fails there).
    """

    steep: float
    minimum: float
    valley: float
    slide: float


class Peak(NamedTuple):
    """A peak learning rate for one-cycle, and why this one.

    Attributes:
        lr: float.
        reason: one English sentence.
    """

    lr: float
    reason: str


@dataclass(frozen=True, eq=False)
class RangeTestResult:
    """What a range test saw.

    Attributes:
        lr: float64 (n,), learning rate of each step.
        loss: float64 (n,), loss of that step's batch before its update, or of the held-out
            batches after it.
        smoothed: float64 (n,), bias-corrected exponential mean of `loss`.
        num_steps: steps of the whole sweep; n is smaller if the test stopped early.
        stopped_because: one English sentence.
        measured_on: `"batch"` or `"held-out"`.
        beta: float, factor of the exponential mean.
    """

    lr: np.ndarray
    loss: np.ndarray
    smoothed: np.ndarray
    num_steps: int
    stopped_because: str
    measured_on: str = "batch"
    beta: float = 0.98

    def _trimmed(self):
        """The part the rules look at: without the noisy begin and the exploding end."""
        part = slice(self.num_steps // 10, -5)
        lr, loss = self.lr[part], self.smoothed[part]
        bad = np.flatnonzero(np.isnan(loss))
        if bad.size:
            lr, loss = lr[: bad[0]], loss[: bad[0]]
        if len(loss) < _MIN_POINTS:
            raise ValueError(
                f"{len(loss)} points of the range test are left to judge (of {len(self.lr)} "
                f"recorded and {self.num_steps} planned; the first tenth and the last 5 are "
                f"dropped), at least {_MIN_POINTS} are needed. It ended because: "
                f"{self.stopped_because} Use more steps or a lower start_lr."
            )
        return lr, loss

    def suggest(self):
        """Apply the rules of fastai's `lr_find` to the smoothed loss.

        They see the points from num_steps // 10 to the sixth from the end, up to the first NaN.

        Returns:
            `Suggestions`.

        Raises:
            ValueError: if fewer than 5 points are left.
        """
        lr, loss = self._trimmed()
        steep = lr[np.argmin(np.diff(loss) / np.diff(np.log(lr)))]
        minimum = lr[np.argmin(loss)] / 10
        return Suggestions(*map(float, (steep, minimum, _valley(lr, loss), _slide(lr, loss))))

    def peak(self):
        """Peak learning rate for one-cycle: half a decade (a factor 3.16) below the lowest loss.

        Smith and Topin take the largest learning rate at which training still converges. The
        lowest loss marks where the falling ends, but late: the mean that smooths the curve lags,
        and a sweep spends only few steps there. fastai goes a whole decade below; one-cycle passes
        its peak only briefly, so half of that margin is kept. A rule of thumb; check it by
        training.

        Returns:
            `Peak`.

        Raises:
            ValueError: as `suggest`.
        """
        lowest = 10 * self.suggest().minimum
        peak = lowest / 10**0.5
        return Peak(peak, f"half a decade below {lowest:.3g}, where the smoothed loss is lowest.")

    def doubt(self):
        """Says why the suggestions should not be trusted, if there is a reason.

        The noise of single losses is estimated from the differences of neighbors (their median,
        so that a few jumps do not count), as in von Neumann 1941, "Distribution of the Ratio of the
        Mean Square Successive Difference to the Variance". The curve is clear if the smoothed loss
        falls by more than a few times the noise that is left in it.

        Returns:
            One English sentence, or "" for a clear curve.

        Raises:
            ValueError: as `suggest`.
        """
        lr, smoothed = self._trimmed()
        lowest = int(np.argmin(smoothed))
        fall = smoothed[: lowest + 1].max() - smoothed[lowest]
        steps = np.abs(np.diff(self.loss))
        single = np.median(steps) * 1.4826 / 2**0.5  # standard deviation, were it normal
        left = single * ((1 - self.beta) / (1 + self.beta)) ** 0.5  # in the smoothed loss
        if fall <= _CLEAR_FALL * left:
            return (
                f"The smoothed loss falls by {fall:.2g} only, its noise is {left:.1g}: the "
                "curve is flat or noisy. Use more steps, larger batches or another range."
            )
        if lowest == len(smoothed) - 1 and len(self.lr) == self.num_steps:
            return (
                f"The loss still falls at the end of the sweep, at {lr[lowest]:.3g}. Raise end_lr."
            )
        steep = self.suggest().steep
        if steep > lr[lowest]:
            return (
                f"The steepest fall, at {steep:.3g}, lies behind the lowest loss, at "
                f"{lr[lowest]:.3g}: it is the way back from a bump. Do not use steep here."
            )
        return ""

    def plot(self):
        """Figure of the curve with all suggestions, see `utils.plots.plot_range_test`."""
        from utils.plots import plot_range_test  # only here: a test on a server needs no figures

        return plot_range_test(self, self.suggest(), self.peak().lr)

    def save_csv(self, path):
        """Write one row a step; floats are exact, the last four columns repeat."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_CSV_FIELDS)
            columns = (self.lr.tolist(), self.loss.tolist(), self.smoothed.tolist())
            for step, row in enumerate(zip(*columns, strict=True)):
                whole = (self.num_steps, self.measured_on, self.beta, self.stopped_because)
                writer.writerow([step, *map(repr, row), *whole])

    @classmethod
    def load_csv(cls, path):
        """Read what `save_csv` wrote.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is not such a file.
        """
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if tuple(reader.fieldnames or ()) != _CSV_FIELDS or not rows:
            raise ValueError(
                f"{path} has columns {reader.fieldnames} and {len(rows)} rows; expected "
                f"{list(_CSV_FIELDS)} and at least one row. Write it with save_csv."
            )
        arrays = [np.array([float(row[name]) for row in rows]) for name in _CSV_FIELDS[1:4]]
        first = rows[0]
        return cls(
            *arrays,
            int(first["num_steps"]),
            first["stopped_because"],
            first["measured_on"],
            float(first["beta"]),
        )


def _valley(lr, loss):
    """Half of the second third of the longest strictly falling subsequence.

    Its begin is taken as its end minus its length, as if it had no gaps: that is fastai's rule.
    """
    length = np.ones(len(loss), int)  # of the longest falling subsequence that ends here
    for i in range(1, len(loss)):
        higher = loss[:i] > loss[i]
        length[i] += max(length[:i][higher], default=0)
    end = int(np.argmax(length))
    begin = end - int(length[end])
    third = (end - begin) / 3
    # A curve that never falls, or falls for 2 steps only, would give index -1: its last point.
    return lr[max(begin + int(third) + int(third / 2), 0)]


def _slide(lr, loss, threshold=0.005):
    """Slide a window from the right until the slopes at its two ends differ by the threshold.

    If they already agree at the right end of the curve, it is the first window's left end; if
    they never do, that of the last window. Both as fastai does.
    """
    slope = np.gradient(loss)
    right, left = len(loss) - 1, len(loss) - 1 - _SLIDE_WIDTH
    if left < 0:
        return np.nan
    chosen = lr[left]
    while left >= 0 and abs(slope[right] - slope[left]) > threshold:
        chosen = lr[left]
        right, left = right - 1, left - 1
    return chosen


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
            Its `loss` is used; `loss_weights` and a `train_step` of its own are not.
        batches: iterable of (x, y) or (x, y, sample_weight); a list or a `PyDataset` is begun
            again when it ends before `num_steps`.
        start_lr, end_lr: floats, 0 < start_lr < end_lr; learning rate of first and last step.
        num_steps: int >= 11, the least that leaves 5 points for `suggest`; better 100.
        sweep: "exponential" (equal factors) or "linear" (equal differences).
        beta: float in [0, 1), of the exponential mean; 0 does not smooth.
        stop_factor: float > 1; stop once the smoothed loss is this many times its lowest value.
        held_out: list of (x, y) or (x, y, sample_weight), or a `PyDataset`: judge every learning
            rate by the loss on these batches after its step, without augmentation and dropout,
            rather than by the loss of the step's own batch. Calmer, and a forward pass of all of
            them a step dearer. Batch normalization takes its moving averages there, which need a
            few steps to follow: not for a network that has just been built.

    Returns:
        `RangeTestResult`. A loss that is NaN or infinite ends the test and is not recorded.

    Raises:
        ValueError: for settings outside these limits, a model that is not compiled or not
            functional, batches that end too early or none that are held out, or a first loss that
            is not finite.
    """
    _check_settings(start_lr, end_lr, num_steps, sweep, beta, stop_factor)
    if held_out is not None and not len(held_out):
        raise ValueError("Received held_out without a batch; pass at least one, or None.")
    space = np.geomspace if sweep == "exponential" else np.linspace
    rates, losses, smoothed = [], [], []
    mean = 0.0
    stopped_because = "completed: all learning rates were tried."
    with _restored(model):
        trial = _trial_model(model, start_lr)
        stream = _endless(batches, num_steps)
        for step, lr in enumerate(space(start_lr, end_lr, num_steps).tolist()):
            trial.optimizer.learning_rate = lr
            trial.reset_metrics()  # else old versions of Keras give a mean over all steps so far
            loss = float(trial.train_on_batch(*next(stream), return_dict=True)["loss"])
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
    for i in range(len(batches)):
        model.reset_metrics()  # as above
        loss = float(model.test_on_batch(*batches[i], return_dict=True)["loss"])
        total, count = total + loss * len(batches[i][0]), count + len(batches[i][0])
    return total / count


def _check_settings(start_lr, end_lr, num_steps, sweep, beta, stop_factor):
    if not 0 < start_lr < end_lr < np.inf:
        raise ValueError(
            f"Received start_lr={start_lr}, end_lr={end_lr}; use 0 < start_lr < end_lr, finite."
        )
    whole = isinstance(num_steps, numbers.Integral)
    if not whole or num_steps - num_steps // 10 - 5 < _MIN_POINTS:
        raise ValueError(
            f"Received num_steps={num_steps!r}; use a whole number of at least 11, better 100."
        )
    if sweep not in ("exponential", "linear"):
        raise ValueError(f'Received sweep={sweep!r}; use "exponential" or "linear".')
    if not 0 <= beta < 1:
        raise ValueError(f"Received beta={beta}; use 0 <= beta < 1, for example 0.98.")
    if not stop_factor > 1:
        raise ValueError(f"Received stop_factor={stop_factor}; use a factor > 1, for example 4.")


def _trial_model(model, start_lr):
    """A model of the same layers with its own fresh optimizer, compiled step and metrics."""
    if not getattr(model, "compiled", False):
        raise ValueError("The model is not compiled; call model.compile(optimizer, loss) first.")
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if not len(inputs) == len(outputs) == 1:
        raise ValueError(
            f"{type(model).__name__} {model.name!r} has {len(inputs)} fixed inputs and "
            f"{len(outputs)} outputs; use a functional model, or a Sequential that has been "
            "built, with one input and one output."
        )
    trial = keras.Model(inputs[0], outputs[0], name="range_test")
    wrapper, optimizer = None, model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        wrapper, optimizer = optimizer, optimizer.inner_optimizer
    config = optimizer.get_config() | {"learning_rate": float(start_lr)}
    if isinstance(getattr(optimizer, "momentum", None), ScheduleTable):
        config["momentum"] = float(optimizer.momentum.values.min())
    fresh = type(optimizer).from_config(config)
    if wrapper:
        fresh = keras.optimizers.LossScaleOptimizer(fresh, wrapper.initial_scale)
    trial.compile(
        fresh,
        model.loss,
        run_eagerly=model.run_eagerly,
        jit_compile=model.jit_compile,
        auto_scale_loss=False,
    )
    return trial


@contextmanager
def _restored(model):
    """Give back all state of the layers and the global random states, whatever happens."""
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]  # copies
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is the point
    try:
        yield
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _endless(batches, num_steps):
    """Yield the batches, beginning again at the end if that is possible."""
    count = 0
    while True:
        at_begin = count
        # Keras 3.10 gives a PyDataset no iterator, and Python's fallback for one never ends.
        indexed = isinstance(batches, keras.utils.PyDataset)
        for batch in (batches[i] for i in range(len(batches))) if indexed else batches:
            yield batch
            count += 1
        if count == at_begin:
            raise ValueError(
                f"The batches ended after {count} of {num_steps} steps. Pass a list or a "
                "PyDataset, which can be read again, a longer generator, or a smaller num_steps."
            )
