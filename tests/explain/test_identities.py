"""The two identities hold, and would notice an error."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from utils.data.shapes import make_shapes
from utils.explain import identities
from utils.explain.identities import cam_identity_gap, completeness_gap
from utils.model.resnet import resnet_v2
from utils.records.read import read_record
from utils.records.weights import load_trained

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def test_cam_identity_holds(images, monkeypatch):
    model = resnet_v2(11)
    assert cam_identity_gap(model, images) < 1e-5
    assert cam_identity_gap(model, images, 3) < 1e-5
    # And it would notice: a Grad-CAM with weights that are 1 % off.
    original = identities.GradCAM.__call__

    def wrong(self, *arguments, **options):
        explanation = original(self, *arguments, **options)
        return explanation._replace(maps=explanation.maps * 1.01)

    monkeypatch.setattr(identities.GradCAM, "__call__", wrong)
    assert cam_identity_gap(model, images) == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("gap", [cam_identity_gap, completeness_gap])
def test_identities_hold_with_trained_weights(gap):
    trained = load_trained(read_record(ROOT / "runs" / "shapes-resnet20v2"))
    images, labels, _ = make_shapes(20, seed=3)
    assert gap(trained, images) < 1e-5
    assert gap(trained, images, labels) < 1e-5


def test_fractions_of_pixels_are_rounded_alike_on_both_sides(images):
    model = resnet_v2(11)
    assert cam_identity_gap(model, images.clip(0, 254) + 0.6) < 1e-5


def test_completeness_holds_with_and_without_bias_and_would_notice(images, monkeypatch):
    model = resnet_v2(11)
    model.get_layer("logits").bias.assign(np.arange(10) / 10)
    assert completeness_gap(model, images) < 1e-5
    assert completeness_gap(model, images, 3) < 1e-5
    pooled = model.get_layer("avg_pool").output
    bare = keras.Model(model.input, layers.Dense(4, use_bias=False)(pooled))
    assert completeness_gap(bare, images) < 1e-5
    # And it would notice: a ReLU loses what speaks against the class.
    original = identities.GradCAM.__call__

    def cut(self, *arguments, **options):
        return original(self, *arguments, **options | {"signed": False})

    monkeypatch.setattr(identities.GradCAM, "__call__", cut)
    assert completeness_gap(model, images, 3) > 1e-3


@pytest.mark.parametrize("gap", [cam_identity_gap, completeness_gap])
def test_identities_need_their_head(images, gap):
    inputs = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="global average pooling and one Dense"):
        gap(keras.Model(inputs, layers.Dense(2)(x)), images)


@pytest.mark.parametrize("gap", [cam_identity_gap, completeness_gap])
def test_identities_hold_for_fixed_batches_dropout_and_logits_of_zero(gap):
    inputs = keras.Input((8, 8, 3), batch_size=2)
    x = layers.Dropout(0.5)(layers.Conv2D(4, 3, name="conv")(inputs))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(5, name="logits")(x))
    pixels = np.random.default_rng(2).random((3, 8, 8, 3), dtype="float32")
    assert gap(model, pixels) < 1e-5
    model.get_layer("logits").kernel.assign(np.zeros((4, 5)))
    assert gap(model, pixels) == 0
