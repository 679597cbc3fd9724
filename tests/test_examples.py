"""The examples of README, executed as they stand there."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from utils.training.lr_curve import RangeTestResult

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
