"""What happens beside the steps: random streams, log, checkpoint, starts, and where we are."""

import statistics
import time

import keras

from utils.model.augment import Augment
from utils.progress import format_duration
from utils.runtime import describe_runtime, git_commit
from utils.training import run_folder
from utils.training.devices import device_count
from utils.training.epoch_log import CSV_FIELDS, format_epoch_row, write_history


class EpochLog(keras.callbacks.Callback):
    """After each epoch: a line into `history.csv`, then a checkpoint, then the line on screen.

    The line is on disk before the checkpoint: what a crash between the two leaves behind is a
    line too many, which `fit` cuts off when it resumes, never a line too few.

    Args:
        folder: `pathlib.Path` for `history.csv` and the checkpoint.
        batches: the `Batches` of the training set.
        rate, momentum: values of every step.
        seed: int, seed of the augmentation.
        rows: list that receives a dict with the keys of `CSV_FIELDS` for each epoch.
        report: function that prints a line.
        say_time_left: bool; the line ends with the time that the rest of the training will take.
    """

    def __init__(self, folder, batches, rate, momentum, seed, rows, report, say_time_left):
        super().__init__()
        self.folder, self.batches, self.seed = folder, batches, seed
        self.rate, self.momentum, self.rows, self.report = rate, momentum, rows, report
        self.say_time_left, self.seconds = say_time_left, []  # of the epochs since this start

    def on_epoch_begin(self, epoch, logs=None):
        # Both depend on (seed, epoch) alone, so a resumed run continues as if never stopped.
        self.batches.set_epoch(epoch)
        for layer in self.model.layers:
            if isinstance(layer, Augment):
                layer.seed_generator.state.assign([self.seed, epoch * 1_000_000])
        self.first = self._steps_done()
        self.start = time.perf_counter()

    def _steps_done(self):
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def on_epoch_end(self, epoch, logs=None):
        # The optimizer's own count: a step that loss scaling skips, for an overflow in float16,
        # does not move the schedule.
        first, last = self.first, max(self.first, self._steps_done() - 1)
        values = (
            epoch + 1,
            float(self.rate[first]),
            float(self.rate[last]),
            float(self.momentum[first]),
            float(self.momentum[last]),
            round(time.perf_counter() - self.start, 2),
            *(round(float(logs[k]), 6) for k in ("loss", "accuracy", "val_loss", "val_accuracy")),
        )
        row = dict(zip(CSV_FIELDS, values, strict=True))
        self.rows.append(row)
        write_history(self.folder, self.rows)
        run_folder.save_checkpoint(self.model, self.folder, epoch + 1)
        self.seconds.append(row["seconds"])
        left = (self.params["epochs"] - epoch - 1) * statistics.median(self.seconds)
        note = f"  {format_duration(left)} left" if self.say_time_left and left else ""
        self.report(format_epoch_row(row) + note)


class StartLog(keras.callbacks.Callback):
    """Notes in `starts.json` what each start of a run ran on and how long it took to compile.

    A long run may be interrupted and go on elsewhere; its record then names every machine and
    every commit. The compile time is the time until the first step is done: reading the first
    batch, tracing, compiling, and that one step.

    Args:
        folder: `pathlib.Path` of the run.
        epoch: int >= 1, the first epoch of this start.
        profile: str, under which settings it was started, or None to leave that open.
    """

    async_safe = True  # on a GPU Keras need not wait for each step because of this callback

    def __init__(self, folder, epoch, profile=None):
        super().__init__()
        self.folder, self.epoch, self.begin = folder, epoch, None
        self.profile = {} if profile is None else {"profile": profile}

    def on_train_begin(self, logs=None):
        self.begin = time.perf_counter()
        self.devices = device_count()  # now: on JAX a step's end is told in another thread

    def on_train_batch_end(self, batch, logs=None):
        if batch or self.begin is None:  # of an epoch's steps one alone, as threads come between
            return
        seconds, self.begin = time.perf_counter() - self.begin, None
        runtime = describe_runtime()
        start = {"epoch": self.epoch, "compile_seconds": round(seconds, 2)}
        device = runtime.device
        if self.devices > 1:
            device += f", {self.devices} of them"
        start |= {"device": device, "versions": runtime.versions()}
        start |= {"settings": runtime.settings, **self.profile}
        run_folder.add_start(self.folder, {**start, "git_commit": git_commit()})


class StepProgress(keras.callbacks.Callback):
    """Shows within an epoch where the training is and how long it will still take.

    Nothing is read from the device: the count of the steps and the clock are enough.

    Args:
        batch_size: int, images a step.
        live: `utils.progress.Progress`.
        clock: function that gives seconds.
    """

    async_safe = True  # on a GPU Keras need not wait for each step because of this callback

    def __init__(self, batch_size, live, clock=time.perf_counter):
        super().__init__()
        self.batch_size, self.live, self.clock = batch_size, live, clock
        self.after_steps = 0.0  # seconds that an epoch takes after its last step, for the test set

    def on_epoch_begin(self, epoch, logs=None):
        self.place = f"epoch {epoch + 1} of {self.params['epochs']}"
        self.epochs_left = self.params["epochs"] - epoch - 1
        self.first = None
        self.live.show(f"{self.place}: the first step")  # with compiling it may take a minute

    def on_train_batch_end(self, batch, logs=None):
        self.last = self.clock()
        # Keras calls from several threads: both halves of `first` are there at once, or none.
        if self.first is None:  # the first step is no measure: it may have been compiled
            self.first = (self.last, batch)
        elif self.live.due():
            self.live.show(self._text(batch))

    def _text(self, batch):
        steps = self.params["steps"]
        begin, first_step = self.first
        # The second step may come before the first.
        seconds = max(self.last - begin, 1e-9) / max(batch - first_step, 1)
        left = (steps - batch - 1 + self.epochs_left * steps) * seconds
        left += (1 + self.epochs_left) * self.after_steps
        place, speed = f"{self.place}, step {batch + 1} of {steps}", self.batch_size / seconds
        return f"{place}, {speed:,.0f} images/s, {format_duration(left)} left"

    def on_test_batch_end(self, batch, logs=None):
        self.live.show(f"{self.place}, test images, batch {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self.after_steps = self.clock() - self.last
        self.live.clear()
