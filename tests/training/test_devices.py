"""Two devices give what one gives; each is half of a CPU, in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sample_data import noise

from utils.settings import RECIPES
from utils.training import fit as fit_module
from utils.training.devices import choose_devices, device_count, distributed
from utils.training.fit import fit

ROOT = Path(__file__).resolve().parents[2]
BACKEND = keras.backend.backend()
TWO_DEVICES = """
import sys, json
from dataclasses import replace
from pathlib import Path
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from sample_data import noise
from utils.commands.run_recipe import run_recipe
from utils.settings import RECIPES
from utils.training.callbacks import StepProgress

means, results, shown = {}, [], StepProgress.on_train_batch_end

def keep(self, batch, logs):
    means[self.place, batch] = logs["loss"]
    shown(self, batch, logs)

StepProgress.on_train_batch_end = keep
recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=24, max_lr=0.005)
for count in (1, 2):
    means.clear()
    options = dict(profile="study", validation="test set", keep_weights=False, precision="float32")
    folder = Path(sys.argv[1], str(count))
    model, record = run_recipe(recipe, noise(240, 20), folder, devices=count, **options)
    results.append({"means": [means[key] for key in sorted(means)]})
    results[-1] |= {"loss": record["final"]["loss"]}
    results[-1] |= {"device": record["device"], "correct": record["final"]["correct"]}
    results[-1]["weights"] = [float(abs(weight).sum()) for weight in model.get_weights()]
print(json.dumps(results))
"""


def step_losses(means, steps=10):
    """The loss of each step, of the running means of an epoch that Keras reports."""
    sums = np.reshape(means, (-1, steps)) * np.arange(1, steps + 1)
    return np.diff(sums, axis=1, prepend=0).ravel()


@pytest.mark.skipif(BACKEND == "torch", reason="trains on one device")
def test_two_devices_train_as_one_does(tmp_path):
    """20 steps with every augmentation, batch norm over both halves of each batch, the record."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    found = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    one, two = json.loads(found.stdout.splitlines()[-1])
    assert len(one["means"]) == len(two["means"]) == 20
    np.testing.assert_allclose(step_losses(two["means"]), step_losses(one["means"]), atol=1e-4)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-3, atol=1e-3)
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-3)
    assert one["device"] + ", 2 of them" == two["device"]


def test_devices_are_all_gpus_or_one_cpu_unless_a_number_is_given(monkeypatch):
    def choose(names, count=None, **environ):
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: names)
        return choose_devices(count, environ)

    cpus, gpus = ["cpu:0", "cpu:1"], ["gpu:0", "gpu:1", "gpu:2"]
    assert choose(cpus) == ["cpu:0"] and choose(gpus) == gpus
    assert choose(gpus, 2) == choose(gpus, ASSIGNMENT_DEVICES="2") == gpus[:2]
    assert choose(cpus, 1, ASSIGNMENT_DEVICES="2") == ["cpu:0"]
    with pytest.raises(ValueError, match="Received 0 "):
        choose(gpus, 0)
    assert choose(gpus, ASSIGNMENT_DEVICES="") == gpus
    for wrong in ("4", "0", "-1", "two", "1.5"):
        with pytest.raises(
            ValueError, match=f"Received {wrong} .*has 3 .*whole number from 1 to 3"
        ):
            choose(gpus, ASSIGNMENT_DEVICES=wrong)


def test_one_device_changes_nothing():
    with distributed(["cpu:0"]):
        assert device_count() == 1


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [(31, 20, "a batch has 31 images, which 2 devices"), (32, 21, "the test set has 21 images")],
)
def test_images_that_devices_cannot_share_are_refused(monkeypatch, tmp_path, train, test, words):
    monkeypatch.setattr(fit_module, "device_count", lambda: 2)
    recipe = replace(RECIPES["one-cycle"], batch_size=32)
    with pytest.raises(ValueError, match=f"{words}.*ASSIGNMENT_DEVICES, or --devices where"):
        fit(None, recipe, noise(train, test), tmp_path)
