"""The backends give one and the same map: whatever is installed is compared, pair by pair."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small_models import MEAN, STD, randomize

from utils.explain.grad_cam import grad_cam
from utils.explain.methods import HOOKS
from utils.model.resnet import resnet_v2

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OTHERS = {"tensorflow", "jax", "torch"} - {keras.backend.backend()}
LAYERS = ("last_relu", "stage3_block1_3_relu")


def compute_maps():
    """float32 maps (layers, methods, images, 8, 8) of fixed weights and images, in float32."""
    model = randomize(resnet_v2(11, mean=MEAN, std=STD))
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    raw = {"size": None, "normalize": False, "signed": True}
    return np.stack(
        [
            [grad_cam(model, images, 3, layer, method=method, **raw) for method in HOOKS]
            for layer in LAYERS
        ]
    )


@pytest.mark.parametrize("other", sorted(OTHERS))
def test_maps_of_another_backend_are_the_same(other, tmp_path):
    if not importlib.util.find_spec(other):
        pytest.skip(f"{other} is not installed")
    path = tmp_path / "maps.npy"
    code = f"import numpy, test_backends; numpy.save({str(path)!r}, test_backends.compute_maps())"
    environment = os.environ | {
        "KERAS_BACKEND": other,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", HERE))),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)
    theirs, ours = np.load(path), compute_maps()
    largest = np.abs(ours).max(axis=(3, 4), keepdims=True)
    assert largest.min() > 0
    # The sign of Eigen-CAM, that of the larger sum, is the only choice left to a backend.
    assert (np.abs(theirs - ours) / largest).max() < 1e-5
