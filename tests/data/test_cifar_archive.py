"""Tests of the archive reader, on small fakes of the official archive."""

import os
import pickle
import warnings

import numpy as np
import pytest
from sample_archives import PER_BATCH, make_batches, write_fake

from utils.data.cifar_archive import OFFICIAL, read_archive, read_batches


def test_what_is_published_is_pinned():
    assert OFFICIAL.sha256 == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    assert OFFICIAL.url == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert [len(md5) for _, md5 in OFFICIAL.batches] == [32] * 6


@pytest.mark.parametrize("layout", ["archive", "batches"])
def test_images_and_labels_come_back(tmp_path, layout):
    contents, images, labels = make_batches()
    official = write_fake(tmp_path, contents)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy 2 warns of the module's old name
        if layout == "archive":
            result = read_archive(tmp_path / "cifar-10-python.tar.gz", official)
        else:
            result = read_batches(tmp_path / "cifar-10-batches-py", official)
    x_train, y_train, x_test, y_test = result
    np.testing.assert_array_equal(x_train, images[:5].reshape(-1, 32, 32, 3))
    np.testing.assert_array_equal(y_train, labels[:5].ravel())
    np.testing.assert_array_equal(x_test, images[5])
    np.testing.assert_array_equal(y_test, labels[5])
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert x_train.flags.c_contiguous and x_test.flags.c_contiguous


def test_pickles_of_python_3_are_read_too(tmp_path):
    contents, images, labels = make_batches()
    rows = images[0].transpose(0, 3, 1, 2).reshape(PER_BATCH, 3072)
    batch = {b"data": np.ascontiguousarray(rows), b"labels": labels[0].tolist()}
    contents["data_batch_1"] = pickle.dumps(batch, protocol=4)
    official = write_fake(tmp_path, contents)
    x_train, y_train, _, _ = read_batches(tmp_path / "cifar-10-batches-py", official)
    np.testing.assert_array_equal(x_train[:PER_BATCH], images[0])
    np.testing.assert_array_equal(y_train[:PER_BATCH], labels[0])


class Malicious:
    """Unpickles to a call of `os.mkdir`, as an attacker's file could."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_a_malicious_pickle_works_where_it_is_trusted(tmp_path):
    """The control: without it, the tests below could pass for the wrong reason."""
    pickle.loads(pickle.dumps(Malicious(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("layout", ["archive", "batches"])
def test_an_altered_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch, layout):
    contents, _, _ = make_batches()
    honest = write_fake(tmp_path / "honest", contents)
    contents["data_batch_3"] = pickle.dumps(Malicious(tmp_path / "trace"))
    write_fake(tmp_path / "altered", contents)
    monkeypatch.setattr("utils.data.cifar_archive._ArraysOnly", None)  # any use of it fails
    with pytest.raises(ValueError, match=r"not the official.*expected.*again"):
        if layout == "archive":
            read_archive(tmp_path / "altered/cifar-10-python.tar.gz", honest)
        else:
            contents["data_batch_1"] = contents["data_batch_3"]
            write_fake(tmp_path / "first", contents)
            read_batches(tmp_path / "first/cifar-10-batches-py", honest)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_even_with_the_right_hash_a_pickle_runs_nothing(tmp_path, protocol):
    contents, _, _ = make_batches()
    payload = {b"data": Malicious(tmp_path / "trace"), b"labels": [0]}
    contents["data_batch_1"] = pickle.dumps(payload, protocol=protocol)
    official = write_fake(tmp_path, contents)
    with pytest.raises(ValueError, match=r"data_batch_1 is not a CIFAR-10 batch.*not allowed"):
        read_archive(tmp_path / "cifar-10-python.tar.gz", official)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "batch",
    [
        {b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8)},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": ["cat", "dog"]},
        [1, 2],
    ],
)
def test_a_batch_of_another_form_is_refused(tmp_path, batch):
    contents, _, _ = make_batches()
    contents["test_batch"] = pickle.dumps(batch, protocol=4)
    official = write_fake(tmp_path, contents)
    with pytest.raises(ValueError, match="test_batch.*Unpack the official archive again"):
        read_archive(tmp_path / "cifar-10-python.tar.gz", official)


def test_a_missing_batch_is_named(tmp_path):
    contents, _, _ = make_batches()
    official = write_fake(tmp_path, contents)
    (tmp_path / "cifar-10-batches-py/data_batch_4").unlink()
    with pytest.raises(ValueError, match="lacks data_batch_4"):
        read_batches(tmp_path / "cifar-10-batches-py", official)
