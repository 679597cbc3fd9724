"""The examples of README, executed as they stand there."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from other_process import run_alone
from PIL import Image

from utils.training.lr_curve import RangeTestResult
from utils.training.optimizer import OneCycleSGD, ScheduleTable
from utils.training.range_test import range_test

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def reader():
    """What a reader has at hand: batches of images with labels, and images."""
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    data = (rng.uniform(-1, 1, (8, 32, 32, 3)).astype("float32"), rng.integers(0, 10, 8))
    return {"images": images, "dataset": tf.data.Dataset.from_tensor_slices(data).batch(4)}


def test_examples_of_readme_give_what_their_comments_say(reader, monkeypatch, capsys):
    whole = keras.applications.MobileNet
    shown = []
    monkeypatch.setattr(RangeTestResult, "plot", lambda self: shown.append(self))

    def small(weights, classes=1000, input_shape=None):
        """The begin of the network, a quarter as wide, without the pretrained weights."""
        trunk = whole(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
        pooled = keras.layers.GlobalAveragePooling2D()(trunk.get_layer("conv_pw_3_relu").output)
        return keras.Model(trunk.input, keras.layers.Dense(classes, "softmax")(pooled))

    monkeypatch.setattr(keras.applications, "MobileNet", small)
    examples = EXAMPLE.findall(README)
    assert len(examples) == 3
    for example in examples:
        assert len(example.splitlines()) <= 10
        exec(compile(example, "README.md", "exec"), reader)
    curve, maps = reader["curve"], reader["maps"]
    assert shown == [curve] and len(curve.lr) > 10
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{curve.peak().lr} ") for line in printed)
    assert int(reader["model"].optimizer.iterations) == reader["total"] == 4
    assert maps.shape == (4, 32, 32) and 0 <= maps.min() <= maps.max() <= 1
    assert reader["picture"].dtype == np.uint8 and reader["picture"].shape[2] == 3
    assert printed[-1] in [layer.name for layer in reader["network"].layers]


def test_the_sweep_takes_batches_of_a_folder_of_images(tmp_path):
    pytest.importorskip("tensorflow")
    assert "as `keras.utils.image_dataset_from_directory` does" in README
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / ("cat", "emu")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype="uint8")).save(path)
    images = keras.utils.image_dataset_from_directory(tmp_path, image_size=(12, 20), batch_size=8)
    layers = [keras.Input((12, 20, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert len(range_test(model, images, num_steps=20).lr) > 5


def test_a_training_goes_on_in_another_program(tmp_path):
    (module,) = re.findall(r"`import ([\w.]+)` before `load_model`", README)
    rate = ScheduleTable([0.1, 0.2, 0.3, 0.4])
    assert "take `rate` alone: `keras.optimizers.AdamW(rate)`" in README
    for optimizer in (OneCycleSGD(rate, ScheduleTable([0.9, 0.8])), keras.optimizers.AdamW(rate)):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer, "mse")
        model.fit(np.ones((2, 2)), np.ones((2, 1)), batch_size=1, verbose=0)
        model.save(tmp_path / f"{type(optimizer).__name__}.keras")
    script = f"""import keras, {module}
for name in ("OneCycleSGD", "AdamW"):
    optimizer = keras.saving.load_model(name + ".keras").optimizer
    print(name, int(optimizer.iterations), float(optimizer.learning_rate))"""
    found = run_alone(script, tmp_path)
    shown = [line.split() for line in found.stdout.splitlines()]
    assert [line[:2] for line in shown] == [["OneCycleSGD", "2"], ["AdamW", "2"]], found.stderr
    assert [float(line[2]) for line in shown] == pytest.approx([0.3, 0.3])
