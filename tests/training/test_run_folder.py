"""A run on disk, with a model of two weights: what is restored, cut off or refused."""

import hashlib
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from utils.training import run_folder
from utils.training.epoch_log import CSV_FIELDS, read_history, write_history
from utils.training.run_folder import (
    check_plan,
    planned_precision,
    read_starts,
    restore,
    save_checkpoint,
)


def rows(count):
    return [dict.fromkeys(CSV_FIELDS, 0.5) | {"epoch": epoch + 1} for epoch in range(count)]


def make_model(weight):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    model.set_weights([np.array([[weight]]), np.array([weight])])
    return model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_run_is_saved_before_its_first_epoch(tmp_path):
    assert restore(make_model(3.0), tmp_path) == []
    [checkpoint] = tmp_path.iterdir()
    digits = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8]
    assert checkpoint.name == f"checkpoint-0000-{digits}.weights.h5"
    model = make_model(9.0)
    assert restore(model, tmp_path) == []
    assert model.get_weights()[1] == [3.0]


@pytest.mark.parametrize(("lines", "epoch"), [(2, 2), (3, 2), (1, 0)])
def test_restores_up_to_the_checkpoint(tmp_path, lines, epoch):
    write_history(tmp_path, rows(lines))
    save_checkpoint(make_model(3.0), tmp_path, epoch)
    model = make_model(9.0)
    for _ in range(2):  # a second start finds the same
        assert restore(model, tmp_path) == rows(epoch)
        assert model.get_weights()[1] == [3.0]
    if epoch:
        assert read_history(tmp_path / "history.csv") == rows(epoch)


def test_the_two_newest_checkpoints_are_kept_with_the_optimizer(tmp_path):
    model = make_model(3.0)
    for epoch in (1, 2, 11):
        before = save_checkpoint(model, tmp_path, epoch)
    model.train_on_batch(np.ones((4, 1)), np.ones((4, 1)))
    expected = [np.array(v) for v in map(keras.ops.convert_to_numpy, model.optimizer.variables)]
    newest = save_checkpoint(model, tmp_path, 12)
    assert names(tmp_path) == [before.name, newest.name]
    assert [name[:16] for name in names(tmp_path)] == ["checkpoint-0011-", "checkpoint-0012-"]
    write_history(tmp_path, rows(12))
    other = make_model(9.0)
    assert len(restore(other, tmp_path)) == 12
    for variable, value in zip(other.optimizer.variables, expected, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_the_order_is_that_of_the_epochs_and_files_of_others_are_left_alone(tmp_path):
    """As text, 9999 comes after 10000."""
    others = {tmp_path / f"checkpoint-{name}.weights.h5" for name in ("best", "0003-best", "3-4-5")}
    for other in others:
        other.write_bytes(b"mine")
    kept = [save_checkpoint(make_model(epoch), tmp_path, epoch) for epoch in (9_998, 9_999, 10_000)]
    assert set(tmp_path.iterdir()) == {*others, *kept[1:]}
    write_history(tmp_path, rows(10_000))
    model = make_model(1.0)
    assert len(restore(model, tmp_path)) == 10_000 and model.get_weights()[1] == [10_000]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flipped":  # in the last quarter, where HDF5 itself would not notice
        content[-len(content) // 4] ^= 1
    if how != "folder":
        path.write_bytes(content if how != "empty" else b"")
        return
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "folder"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, how):
    write_history(tmp_path, rows(4))
    save_checkpoint(make_model(3.0), tmp_path, 3)
    newest = save_checkpoint(make_model(4.0), tmp_path, 4)
    damage(newest, how)
    model, said = make_model(9.0), []
    for _ in range(2):  # a second start says and does the same
        assert restore(model, tmp_path, said.append) == rows(3)
    assert model.get_weights()[1] == [3.0]
    assert said[0].startswith(f"{newest.name} is damaged; going on from checkpoint-0003-")
    assert len(said) == 2
    assert read_history(tmp_path / "history.csv") == rows(3)
    write_history(tmp_path, rows(4))
    save_checkpoint(make_model(5.0), tmp_path, 4)  # the repeated epoch takes its place
    assert len(restore(model, tmp_path, said.append)) == 4
    assert model.get_weights()[1] == [5.0] and len(said) == 2


def test_only_damaged_checkpoints_are_refused_and_kept(tmp_path):
    write_history(tmp_path, rows(4))
    for epoch in (3, 4):
        damage(save_checkpoint(make_model(3.0), tmp_path, epoch), "flipped")
    before = names(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint-0003.*checkpoint-0004.*delete the folder"):
        restore(make_model(9.0), tmp_path)
    assert names(tmp_path) == before and len(read_history(tmp_path / "history.csv")) == 4


def test_a_checkpoint_without_a_hash_in_its_name_is_never_used(tmp_path):
    """Nothing tells whether it is whole."""
    write_history(tmp_path, rows(4))
    save_checkpoint(make_model(3.0), tmp_path, 3)
    newest = save_checkpoint(make_model(4.0), tmp_path, 4)
    plain = newest.rename(tmp_path / "checkpoint-0004.weights.h5")
    model, said = make_model(9.0), []
    assert len(restore(model, tmp_path, said.append)) == 3
    assert model.get_weights()[1] == [3.0]
    assert said[0].startswith("checkpoint-0004.weights.h5 is damaged; going on from checkpoint-000")
    write_history(tmp_path, rows(4))
    for other in tmp_path.glob("checkpoint-0003-*"):
        other.unlink()
    with pytest.raises(ValueError, match=r"0004\.weights\.h5 cannot be used.*Restore a checkpoint"):
        restore(model, tmp_path)
    plain.rename(newest)  # the remedy
    assert len(restore(model, tmp_path)) == 4 and model.get_weights()[1] == [4.0]


def test_a_crash_before_the_hash_is_in_the_name_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    write_history(tmp_path, rows(4))
    before = save_checkpoint(make_model(3.0), tmp_path, 3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_folder, "_hash_digits", Mock(side_effect=KeyboardInterrupt))
        save_checkpoint(make_model(4.0), tmp_path, 4)
    assert names(tmp_path) == [before.name, "checkpoint.weights.h5", "history.csv"]
    model = make_model(9.0)
    assert len(restore(model, tmp_path)) == 3 and model.get_weights()[1] == [3.0]
    newest = save_checkpoint(make_model(5.0), tmp_path, 4)
    assert names(tmp_path) == [before.name, newest.name, "history.csv"]


@pytest.mark.parametrize(
    ("lines", "epoch", "message"),
    [
        (0, 3, "0 epochs but the checkpoint stands after epoch 3"),
        (2, 3, "2 epochs but the checkpoint stands after epoch 3"),
        (3, None, "history of a run but no checkpoint"),
    ],
)
def test_half_a_run_is_refused_and_kept(tmp_path, lines, epoch, message):
    if lines:
        write_history(tmp_path, rows(lines))
    if epoch is not None:
        save_checkpoint(make_model(3.0), tmp_path, epoch)
    before = names(tmp_path)
    with pytest.raises(ValueError, match=message):
        restore(make_model(9.0), tmp_path)
    assert names(tmp_path) == before


def test_another_plan_is_refused(tmp_path):
    check_plan(tmp_path, {"seed": 0, "area": (0.1, 0.2)})
    check_plan(tmp_path, {"seed": 0, "area": (0.1, 0.2)})
    with pytest.raises(ValueError, match="another seed: 0, now 1.*delete the folder"):
        check_plan(tmp_path, {"seed": 1, "area": (0.1, 0.2)})


@pytest.mark.parametrize("content", [b"", b"{", b'{"seed": "\xff"}', b"3", b"[" * 100_000])
def test_a_damaged_plan_or_list_of_starts_is_named(tmp_path, content):
    for name, read in (("plan", planned_precision), ("starts", read_starts)):
        (tmp_path / f"{name}.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.json is no JSON.*damaged.*delete the"):
            read(tmp_path)


def test_an_optimizer_that_would_forget_its_state_is_refused(tmp_path):
    save_checkpoint(make_model(3.0), tmp_path, 0)
    model = make_model(9.0)
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(
        ValueError, match=r"(?s)does not fit this model and optimizer.*delete the folder"
    ):
        restore(model, tmp_path)


def test_the_precision_of_a_run_is_that_of_its_plan(tmp_path):
    assert planned_precision(tmp_path) is None
    check_plan(tmp_path, {"precision": "mixed_bfloat16"})
    assert planned_precision(tmp_path) == "mixed_bfloat16"


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path, share):
    """A limit on the size of files stands in for the full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    model = make_model(3.0)
    first = save_checkpoint(model, tmp_path, 1)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * first.stat().st_size), hard))
    try:
        with pytest.raises(OSError, match="cannot write .*checkpoint.*Make room"):
            save_checkpoint(model, tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == [first.name]
    save_checkpoint(model, tmp_path, 2)
    write_history(tmp_path, rows(2))
    assert len(restore(make_model(9.0), tmp_path)) == 2
