"""Shipped weights: the same network comes back, and what does not fit is refused by name."""

import dataclasses
import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from sample_records import write_record

from utils.model.resnet import resnet_v2
from utils.records import weights
from utils.records.read import WEIGHTS_FILE, read_record

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 61.0, 62.0]


@pytest.fixture(scope="module")
def model():
    model = resnet_v2(11, mean=MEAN, std=STD)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) * 0.2 for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype="uint8")


def record_of(model, folder, **changes):
    """A sound record whose weights are those of the model."""
    write_record(folder, **{"recipe.depth": 11, "recipe.bn_momentum": 0.9})
    run = json.loads((folder / "run.json").read_text())
    run["weights"] = weights.save_weights(model, folder / WEIGHTS_FILE) | changes
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.mark.parametrize("mean", [MEAN, np.arange(3072.0).reshape(32, 32, 3) % 251], ids=str)
def test_the_network_comes_back_with_every_bit(mean, images, tmp_path):
    model = resnet_v2(11, mean=mean, std=STD)
    record = read_record(record_of(model, tmp_path / "run"))
    loaded = weights.load_trained(record)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_weights_trained_in_another_precision_load(model, images, tmp_path):
    record = read_record(record_of(model, tmp_path / "run"))
    loaded = weights.load_trained(record, dtype="mixed_bfloat16")
    assert loaded.get_layer("stem_conv").dtype_policy.name == "mixed_bfloat16"
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_saving_twice_gives_the_same_file(model, tmp_path):
    first = weights.save_weights(model, tmp_path / "a.npz")
    second = weights.save_weights(model, tmp_path / "b.npz")
    assert first["sha256"] == second["sha256"] and first["bytes"] == second["bytes"]
    content = (tmp_path / "a.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == first["sha256"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_resnet56v2_stays_below_ten_megabytes(tmp_path):
    saved = weights.save_weights(resnet_v2(56), tmp_path / WEIGHTS_FILE)
    assert saved["bytes"] == (tmp_path / WEIGHTS_FILE).stat().st_size < 10_000_000


def test_another_hash_is_refused_with_both(model, tmp_path):
    path = tmp_path / WEIGHTS_FILE
    found = weights.save_weights(model, path)["sha256"]
    with pytest.raises(ValueError, match=f"{found}.*{'0' * 64}.*restore"):
        weights.read_weights(path, "0" * 64)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="SHA-256"):
        weights.read_weights(path, found)


def test_what_is_judged_is_what_is_loaded(model, tmp_path, monkeypatch):
    """Another file takes the place of the right one behind the first look at it."""
    path, read = tmp_path / "weights.npz", Path.read_bytes
    right = weights.save_weights(model, path)

    def read_and_replace(place):
        content = read(place)
        np.savez(place, **{"evil/weight": np.ones(3)})
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_replace)
    arrays = weights.read_weights(path, right["sha256"])
    assert "evil/weight" not in arrays and "logits/bias" in arrays


def test_a_record_with_damaged_weights_is_refused(model, tmp_path):
    folder = record_of(model, tmp_path / "run", sha256="0" * 64)
    with pytest.raises(ValueError, match="weights.sha256 is 0000"):
        read_record(folder)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights.npz is missing; restore"):
        weights.read_weights(tmp_path / WEIGHTS_FILE, "0" * 64)


def test_pickled_content_is_never_executed(tmp_path):
    """An archive with an object array, whose reading would run code, is refused."""
    path = tmp_path / WEIGHTS_FILE
    np.savez(path, evil=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="is no archive of arrays"):
        weights.read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())
    path.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match="is no archive of arrays"):
        weights.read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_weights_of_another_depth_are_refused(model):
    arrays = weights.weight_arrays(model)
    other = resnet_v2(20)
    with pytest.raises(ValueError, match=r"do not belong to resnet20v2.*missing \['stage1_block2"):
        weights.assign_weights(other, arrays)


def test_another_shape_is_refused_with_both_and_changes_nothing(model):
    arrays = weights.weight_arrays(model)
    other = resnet_v2(11, num_classes=7)
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"logits/kernel has shape \(256, 10\).* \(256, 7\)"):
        weights.assign_weights(other, {name: arrays[name] for name in reversed(arrays)})
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_record_without_weights_is_named(tmp_path):
    record = read_record(write_record(tmp_path / "run"))
    assert not record.ships_weights
    with pytest.raises(ValueError, match="The record run has no weights"):
        weights.load_trained(record)


def test_an_archive_without_normalization_is_refused(model, tmp_path):
    folder = record_of(model, tmp_path / "run")
    np.savez(folder / WEIGHTS_FILE, **weights.weight_arrays(model))
    record = read_record(write_record(tmp_path / "other"))
    sha256 = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    run = record.run | {"weights": {"sha256": sha256}}
    with pytest.raises(ValueError, match="lacks 'normalize/mean'"):
        weights.load_trained(dataclasses.replace(record, folder=folder, run=run))


def test_the_reported_run_with_weights_is_the_one_shipped(model, tmp_path):
    runs = tmp_path / "runs"
    write_record(runs / "longer", full_result=True)
    assert weights.shipped_record(runs) is None
    record_of(model, runs / "shorter")
    assert weights.shipped_record(runs).name == "shorter"


def test_a_network_of_other_images_is_never_the_one_shipped(model, tmp_path):
    record_of(model, tmp_path / "runs" / "some")
    path = tmp_path / "runs" / "some" / "run.json"
    true = json.loads(path.read_text())
    for changes in ({"source": "painted shapes"}, {"validation": "5000 images held out"}, {}):
        path.write_text(json.dumps(true | {"data": true["data"] | changes}))
        shipped = weights.shipped_record(tmp_path / "runs")
        assert (shipped is None) == bool(changes)


def test_layers_have_distinct_names_and_no_other_weights(model):
    arrays = weights.weight_arrays(model)
    assert len(arrays) == len(model.weights)
    assert sum(array.size for array in arrays.values()) == model.count_params()
    assert all(array.dtype == "float32" for array in arrays.values())
    assert keras.ops.convert_to_numpy(model.get_layer("logits").kernel).shape == (256, 10)
