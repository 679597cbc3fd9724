"""A short training on images, as a student starts it from the shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from utils.data.dataset import CIFAR10_CLASSES

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 6
LIMIT = 600  # seconds that any process here may take


def write_images(folder, train=26, test=4):
    """Writes an image tree, `train` and `test` images of noise for each class of CIFAR-10."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for name in CIFAR10_CLASSES:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = rng.integers(0, 256, (32, 32, 3), dtype="uint8")
                cv2.imwrite(str(folder / split / name / f"{number:03}.png"), image)
    return folder


def training_command(images, folder, precision="float32", batch_size=32, epochs=EPOCHS):
    """The command that trains ResNet11v2 on an image tree, and goes on when it was stopped."""
    command = [sys.executable, "-m", "utils.commands.run_recipe", "one-cycle", "--depth", "11"]
    command += ["--epochs", str(epochs), "--batch-size", str(batch_size)]
    command += ["--precision", precision]
    return [*command, "--data", str(images), "--output", str(folder)]


def environment(backend):
    """The environment of a process on a backend of Keras."""
    return os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


def start(command, log, backend="tensorflow", **variables):
    """Starts a process of its own group, which writes to the open file `log`."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(backend) | variables,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def kill(process):
    """SIGKILL to a process that `start` gave and to its children, and waits for its end."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended by itself
    process.wait()


def run(command, log, backend="tensorflow", **variables):
    """Runs a command to its end.

    Raises:
        RuntimeError: when it fails, with the last lines of its log.
    """
    with log.open("a") as file:
        process = start(command, file, backend, **variables)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            kill(process)
            status = f"no end within {LIMIT} s"
    if status != 0:
        lines = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise RuntimeError(f"{' '.join(command[1:4])}: status {status}: {' | '.join(lines)}")
