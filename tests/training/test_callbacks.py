"""What is shown within an epoch, and that each epoch draws augmentations of its own."""

import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from utils.model.augment import Augment
from utils.training import callbacks, run_folder
from utils.training.callbacks import EpochLog, StartLog, StepProgress
from utils.training.epoch_log import EPOCH_HEADER


class Line:
    """A line of progress that keeps every text and is always due."""

    def __init__(self):
        self.texts = []

    def due(self):
        return True

    def show(self, text):
        self.texts.append(text)

    def clear(self):
        self.texts.append("")


def test_the_line_says_where_the_training_is_and_what_is_left():
    """A step takes 2 s, what follows the last step of an epoch 10 s, on a clock of our own."""
    now, live = [0.0], Line()

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            now[0] += 2.0

        def on_test_end(self, logs=None):
            now[0] += 10.0

    shown = StepProgress(8, live, clock=lambda: now[0])
    shown.async_safe = False  # called in turn with the clock
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((32, 1), "float32")
    options = {"validation_data": (x, x), "shuffle": False, "verbose": 0}
    model.fit(x, x, batch_size=8, epochs=3, callbacks=[Clock(), shown], **options)
    texts = [text for text in live.texts if "test images" not in text]
    assert texts == [
        "epoch 1 of 3: the first step",
        # 2 s for each of 10, 9, 8 steps; how long the test after an epoch takes is not known yet.
        "epoch 1 of 3, step 2 of 4, 4 images/s, 20 s left",
        "epoch 1 of 3, step 3 of 4, 4 images/s, 18 s left",
        "epoch 1 of 3, step 4 of 4, 4 images/s, 16 s left",
        "",
        "epoch 2 of 3: the first step",
        # 6, 5, 4 steps and the test after this epoch and after the next.
        "epoch 2 of 3, step 2 of 4, 4 images/s, 32 s left",
        "epoch 2 of 3, step 3 of 4, 4 images/s, 30 s left",
        "epoch 2 of 3, step 4 of 4, 4 images/s, 28 s left",
        "",
        "epoch 3 of 3: the first step",
        "epoch 3 of 3, step 2 of 4, 4 images/s, 14 s left",
        "epoch 3 of 3, step 3 of 4, 4 images/s, 12 s left",
        "epoch 3 of 3, step 4 of 4, 4 images/s, 10 s left",
        "",
    ]
    tested = [text for text in live.texts if text.startswith("epoch 2 of 3, test images")]
    assert tested == [f"epoch 2 of 3, test images, batch {batch}" for batch in (1, 2, 3, 4)]


def test_a_call_that_comes_late_does_not_stop_the_training():
    """Keras calls it from several threads, so that one step may overtake another."""
    live = Line()
    shown = StepProgress(8, live, clock=iter([2.0, 4.0, 6.0]).__next__)
    shown.set_params({"steps": 4, "epochs": 1})
    shown.on_epoch_begin(0)
    for batch in (1, 0, 2):
        shown.on_train_batch_end(batch)
    assert live.texts[-1] == "epoch 1 of 1, step 3 of 4, 2 images/s, 4 s left"


def test_a_thread_that_comes_between_finds_what_it_needs():
    """Between any two stores of one thread another one may ask for the text."""

    class Watched(StepProgress):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name in ("begin", "first") and value is not None:
                self.on_train_batch_end(1)

    live = Line()
    shown = Watched(8, live, clock=iter([2.0, 4.0]).__next__)
    shown.set_params({"steps": 4, "epochs": 1})
    shown.on_epoch_begin(0)
    shown.on_train_batch_end(0)
    assert live.texts[-1] == "epoch 1 of 1, step 2 of 4, 4 images/s, 4 s left"


def test_keras_need_not_wait_for_a_step_because_of_the_line_or_the_note_of_the_start(tmp_path):
    assert StepProgress(8, Line()).async_safe and StartLog(tmp_path, 1).async_safe


@pytest.mark.parametrize(("devices", "device"), [(1, "GPU (A)"), (2, "GPU (A), 2 of them")])
def test_a_start_is_noted_once_with_all_that_its_record_tells(
    tmp_path, monkeypatch, devices, device
):
    """From the begin of the training to the end of its first step 12.34 seconds pass."""
    clock = iter([100.0, 112.3449, 120.0])
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(callbacks, "device_count", lambda: devices)
    monkeypatch.setattr(callbacks, "git_commit", lambda: "0123abcd")
    versions, settings = {"keras": "3.15.0"}, {"TF_ENABLE_ONEDNN_OPTS": "1"}
    runtime = SimpleNamespace(device="GPU (A)", versions=lambda: versions, settings=settings)
    monkeypatch.setattr(callbacks, "describe_runtime", lambda: runtime)
    log = StartLog(tmp_path, 3)
    log.on_train_begin()
    for batch in range(2):
        log.on_train_batch_end(batch)
    expected = {"epoch": 3, "compile_seconds": 12.34, "device": device, "versions": versions}
    expected |= {"settings": settings, "git_commit": "0123abcd"}
    assert run_folder.read_starts(tmp_path) == [expected]


def test_a_start_is_noted_by_one_thread_alone(tmp_path, monkeypatch):
    """The second step's thread comes while that of the first reads the clock."""
    log = StartLog(tmp_path, 1)

    def clock():
        callbacks.time.perf_counter = lambda: 1.0
        log.on_train_batch_end(1)
        return 1.0

    log.on_train_begin()
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(callbacks, "git_commit", lambda: "0123abcd")
    log.on_train_batch_end(0)
    assert len(run_folder.read_starts(tmp_path)) == 1


def augmented_by_epoch(tmp_path, epochs, seed=3):
    """What the augmentation makes of the same images at the begin of each epoch."""
    inputs = keras.Input((8, 8, 3))
    augment = Augment(shift=2, flip=True, seed=seed)
    model = keras.Model(inputs, augment(inputs))
    model.compile("sgd", "mse")

    selected = []  # for batches that are read by their number, as on JAX
    batches = SimpleNamespace(set_epoch=selected.append)
    log = EpochLog(tmp_path, batches, [], [], seed, [], print, False)
    log.set_model(model)
    images = np.random.default_rng(0).random((64, 8, 8, 3), dtype="float32")
    draws = []
    for epoch in epochs:
        log.on_epoch_begin(epoch)
        draws.append(keras.ops.convert_to_numpy(augment(images, training=True)))
    assert selected == list(epochs)
    return draws


def test_every_epoch_draws_augmentations_of_its_own_and_a_resumed_one_the_same(tmp_path):
    first, second, third = augmented_by_epoch(tmp_path, (0, 1, 2))
    for one, other in ((first, second), (second, third), (first, third)):
        equal = (one == other).all(axis=(1, 2, 3)).mean()
        assert equal < 0.3  # by chance one image in 50 is shifted and mirrored the same way
    (again,) = augmented_by_epoch(tmp_path, (1,))  # a run that goes on after its first epoch
    np.testing.assert_array_equal(again, second)
    (other_seed,) = augmented_by_epoch(tmp_path, (1,), seed=4)
    assert (other_seed != second).any()


def test_an_epochs_line_ends_with_the_time_left_if_asked(tmp_path):
    lines = []
    for asked in (True, False):
        log = EpochLog(tmp_path, None, [0.1] * 9, [0.9] * 9, 0, [], lines.append, asked)
        log.set_params({"epochs": 3})
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        log.set_model(model)
        logs = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)
        for epoch, seconds in enumerate((100, 300, 100)):
            log.first, log.start = 0, time.perf_counter() - seconds
            log.on_epoch_end(epoch, logs)
    width = len(EPOCH_HEADER)
    # After 1 of 3 epochs twice 100 s; after 2 once the median, 200 s; at the end nothing.
    assert [line[width:] for line in lines] == ["  3 min left"] * 2 + [""] * 4
