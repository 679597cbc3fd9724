"""What the benchmarks count and how they talk to their workers; their times are not tested."""

import keras
import pytest
from keras import layers

from benchmarks import workers
from benchmarks.throughput import counted_bytes
from utils.model.resnet import resnet_v2


def test_counted_bytes_by_hand():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)  # reads 192, writes 256
    y = layers.BatchNormalization()(x)  # reads 256 twice, writes 256
    y = layers.ReLU()(y)  # part of the kernel before
    x = layers.Add()([x, y])  # reads 256 twice, writes 256
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    once = 192 + 256 + 3 * 256 + 3 * 256
    assert counted_bytes(model) == 3 * 2 * once
    assert counted_bytes(model, itemsize=4) == 3 * 4 * once


@pytest.mark.parametrize("depth", [11, 56])
def test_plain_pytorch_has_the_parameters_of_ours(depth):
    pytest.importorskip("torch")
    from benchmarks.torch_resnet import ResNet

    network = ResNet(depth)
    values = [*network.parameters(), *network.buffers()]
    count = sum(value.numel() for value in values if value.ndim)  # without BatchNorm's counters
    assert count == resnet_v2(depth).count_params()


def test_a_worker_serves_until_it_ends(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(
        "import sys\n"
        "print('something else')\n"
        "if 'broken' in sys.argv: sys.exit(1)\n"
        'print(\'ready {"precision": "float32"}\', flush=True)\n'
        "for number, _ in zip(range(2), sys.stdin): print(0.5 + number, flush=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = workers.Worker("toy", [], "jax")
    assert worker.facts == {"precision": "float32"}
    assert [worker.seconds(), worker.seconds()] == [0.5, 1.5]
    with pytest.raises((RuntimeError, BrokenPipeError)):
        worker.seconds()
    with pytest.raises(RuntimeError, match="toy broken did not start"):
        workers.Worker("toy", ["broken"], "jax")
