"""What a learning-rate range test saw, and which learning rates it suggests.

The rules see nothing but the curve of loss against learning rate: they know no model and need no
backend, so a curve from a file is judged like one that has just been measured.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.atomic import replacing

MIN_POINTS = 5  # that must be left to judge
_SLIDE_WIDTH = 15  # points between the two ends of the window of the rule "slide"
_CSV_FIELDS = ("step", "learning_rate", "loss", "smoothed")
_CSV_FIELDS += ("num_steps", "measured_on", "beta", "stopped_because")  # the same in every row
_CLEAR_FALL = 4.0  # noise of the smoothed loss; a fall of less may be chance


class Suggestions(NamedTuple):
    """Learning rates picked from a range test by the four rules of fastai's `lr_find`.

    Attributes:
        steep: where the loss falls fastest against the logarithm of the learning rate.
        minimum: a tenth of the learning rate at the lowest loss.
        valley: about half-way down the longest valley.
        slide: as a window of 15 steps slides down from the right end, left end of the last one
            whose two slopes still differ; NaN if there are fewer than 16 points (fastai fails
            there).
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
        if len(loss) < MIN_POINTS:
            raise ValueError(
                f"{len(loss)} points of the range test are left to judge (of {len(self.lr)} "
                f"recorded and {self.num_steps} planned; the first tenth and the last 5 are "
                f"dropped), at least {MIN_POINTS} are needed. It ended because: "
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
        if lowest == len(smoothed) - 1:
            behind = self.smoothed[-6:]
            rise = (behind - np.minimum.accumulate(behind)).max()
            if len(self.lr) == self.num_steps and rise <= _CLEAR_FALL * left:
                return (
                    "The smoothed loss does not rise again before the end of the sweep, at "
                    f"{self.lr[-1]:.3g}. Raise end_lr."
                )
            if self.lr[-1] / lr[lowest] > 10**0.5:  # more than the margin that `peak` keeps
                return (
                    f"The smoothed loss is lowest at the last point judged, {lr[lowest]:.3g}, and "
                    f"the 5 behind it reach up to {self.lr[-1]:.3g}. Use more steps, such as "
                    f"{max(100, 2 * self.num_steps)}."
                )
        steep = self.suggest().steep
        if steep > lr[lowest]:
            return (
                f"The steepest fall, at {steep:.3g}, lies behind the lowest loss, at "
                f"{lr[lowest]:.3g}: it is the way back from a bump. Do not use steep here."
            )
        return ""

    def plot(self):
        """Figure of the curve with all suggestions, by `utils.figures.range_test`."""
        # Imported only here: a test on a server needs no figures.
        from utils.figures.range_test import plot_range_test

        return plot_range_test(self, self.suggest(), self.peak().lr)

    def save_csv(self, path):
        """Write one row a step; floats are exact, the last four columns repeat."""
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
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
        try:
            text = Path(path).read_text(encoding="utf-8")
            columns, *rows = csv.reader(text.splitlines())
        except (ValueError, csv.Error) as error:  # no UTF-8, no line, or no CSV
            raise ValueError(f"{path} is no CSV file ({error}). Write it with save_csv.") from None
        if tuple(columns) != _CSV_FIELDS or not rows:
            raise ValueError(
                f"{path} has columns {columns} and {len(rows)} rows; expected "
                f"{list(_CSV_FIELDS)} and at least one row. Write it with save_csv."
            )
        try:
            _, *arrays = np.array([row[:4] for row in rows], float).T
            num_steps, measured_on, beta, because = rows[0][4:]
            num_steps, beta = int(num_steps), float(beta)
        except ValueError as error:
            raise ValueError(
                f"{path} has a cell that is missing or no number ({error}). Write it with save_csv."
            ) from None
        # The last four columns are the same in every row; steps count from 0.
        same = all(row[4:] == rows[0][4:] and row[0] == str(step) for step, row in enumerate(rows))
        if not (same and text.endswith("\n") and len(rows) <= num_steps):
            raise ValueError(
                f"{path} is not what was written: its {len(rows)} rows of {num_steps} steps do not "
                f"fit together, or it ends in the middle of a line. Write it with save_csv."
            )
        return cls(*arrays, num_steps, because, measured_on, beta)


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
    """Slide a window from the right until the slopes at its two ends agree within the threshold.

    It is the left end of the window before that one. If they already agree at the right end of the
    curve, it is the first window's; if they never do, the last one's. All as fastai does.
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
