"""Tests of the reader of both editions, on small fakes of the official files."""

import errno
import gzip
import hashlib
import io
import os
import pickle
import tarfile
import warnings
from unittest.mock import Mock

import numpy as np
import pytest
from sample_archives import PER_BATCH, make_batches, write_fake

from faults import samples
from utils.data.cifar_archive import BINARY, PYTHON, read_archive, read_batches

EDITIONS = pytest.mark.parametrize("edition", [PYTHON, BINARY], ids=lambda edition: edition.name)
READERS = pytest.mark.parametrize("read", [read_archive, read_batches])


def test_what_is_published_is_pinned():
    assert PYTHON.sha256 == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    assert PYTHON.url == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert BINARY.sha256 == "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    assert [len(md5) for _, md5 in PYTHON.batches] == [32] * 6
    assert [len(sha256) for _, sha256 in BINARY.batches] == [64] * 6


def place(folder, read, edition):
    """The path that a reader takes."""
    return folder / (edition.archive if read is read_archive else edition.folder)


@EDITIONS
@READERS
def test_images_and_labels_come_back(tmp_path, read, edition):
    contents, images, labels = make_batches(edition)
    official = write_fake(tmp_path, contents, edition)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy 2 warns of the module's old name
        result = read(place(tmp_path, read, edition), official)
    x_train, y_train, x_test, y_test = result
    np.testing.assert_array_equal(x_train, images[:5].reshape(-1, 32, 32, 3))
    np.testing.assert_array_equal(y_train, labels[:5].ravel())
    np.testing.assert_array_equal(x_test, images[5])
    np.testing.assert_array_equal(y_test, labels[5])
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.dtype == y_test.dtype == np.int64
    assert all(part.flags.c_contiguous for part in result)


@READERS
def test_where_openssl_allows_no_md5_for_security_the_files_are_read_all_the_same(
    tmp_path, monkeypatch, read
):
    """As on machines in FIPS mode."""
    new = hashlib.new

    def strict(name, content, usedforsecurity=True):
        if name == "md5" and usedforsecurity:
            raise ValueError("[digital envelope routines] unsupported")
        return new(name, content)

    official = write_fake(tmp_path, make_batches()[0])
    monkeypatch.setattr(hashlib, "new", strict)
    assert len(read(place(tmp_path, read, official), official)) == 4


@pytest.mark.parametrize("read", [read_archive, read_batches])
def test_a_path_may_be_text(tmp_path, read):
    official = write_fake(tmp_path, make_batches()[0])
    assert len(read(str(place(tmp_path, read, official)), official)) == 4


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


@READERS
def test_an_altered_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch, read):
    contents, _, _ = make_batches()
    honest = write_fake(tmp_path / "honest", contents)
    contents["data_batch_1"] = pickle.dumps(Malicious(tmp_path / "trace"))
    write_fake(tmp_path / "altered", contents)
    monkeypatch.setattr("utils.data.cifar_archive._ArraysOnly", None)  # any use of it fails
    with pytest.raises(ValueError, match=r"not the official.*expected"):
        read(place(tmp_path / "altered", read, honest), honest)
    assert not (tmp_path / "trace").exists()


@EDITIONS
def test_a_flipped_bit_and_a_missing_end_are_named_with_both_hashes(tmp_path, edition):
    official = write_fake(tmp_path, make_batches(edition)[0], edition)
    name, expected = official.batches[2]
    path = tmp_path / edition.folder / name
    whole = bytearray(path.read_bytes())
    flipped = whole.copy()
    flipped[1000] ^= 1
    for content in (flipped, whole[:-1], b""):
        path.write_bytes(content)
        found = hashlib.new(edition.algorithm, content).hexdigest()
        with pytest.raises(ValueError) as caught:
            read_batches(path.parent, official)
        message = str(caught.value)
        for part in (str(path), f"{len(content):,} bytes", found, expected, official.url):
            assert part in message
    path.write_bytes(whole)
    read_batches(path.parent, official)  # what the message advises helps


@EDITIONS
def test_an_archive_with_other_content_is_named_with_both_hashes(tmp_path, edition):
    official = write_fake(tmp_path, make_batches(edition)[0], edition)
    path = tmp_path / edition.archive
    path.write_bytes(path.read_bytes()[:-5])
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError) as caught:
        read_archive(path, official)
    for part in (str(path), f"{path.stat().st_size:,} bytes", found, official.sha256, official.url):
        assert part in str(caught.value)
    assert "elete" not in str(caught.value)  # the file may be of use to its owner


@EDITIONS
@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_a_batch_in_an_archive_that_is_no_file_is_named(tmp_path, edition, kind):
    contents, _, _ = make_batches(edition)
    name = edition.batches[1][0]
    path = tmp_path / "changed.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for batch, content in contents.items():
            info = tarfile.TarInfo(f"{edition.folder}/{batch}")
            if batch == name:
                info.type, info.linkname = kind, "data_batch_1"
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    official = edition._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=f"holds no ordinary file {edition.folder}/{name}.*again"):
        read_archive(path, official)


def test_a_disk_that_fails_is_not_called_a_damaged_archive(tmp_path, monkeypatch):
    official = write_fake(tmp_path, make_batches(PYTHON)[0], PYTHON)
    failure = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(tarfile, "open", Mock(side_effect=failure))
    with pytest.raises(OSError, match="Input/output error"):
        read_archive(tmp_path / PYTHON.archive, official)


@EDITIONS
def test_with_the_right_hash_a_broken_or_swollen_archive_is_refused(tmp_path, edition, monkeypatch):
    official = write_fake(tmp_path, make_batches(edition)[0], edition)
    path = tmp_path / edition.archive
    whole = path.read_bytes()
    endless = tarfile.TarInfo("x")
    endless.size = 2**80  # more than a file can have
    false_sum = bytearray(gzip.compress(gzip.decompress(whole)[:2000]))
    false_sum[-8] ^= 1
    back = tarfile.TarInfo("x")
    back.size = -512  # leads back to its own header, as does that of a sparse file
    sparse = bytearray(back.tobuf(tarfile.GNU_FORMAT))
    sparse[156:157] = tarfile.GNUTYPE_SPARSE
    first = tarfile.TarInfo("first").tobuf()
    heads = [endless.tobuf(tarfile.GNU_FORMAT), first + back.tobuf(tarfile.GNU_FORMAT)]
    heads.append(first + sparse)
    unread = (*map(samples.packed, heads), bytes(false_sum))
    for content in (whole[:-300], b"no archive", whole[:10] + bytes(200), *unread):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged behind its hash.*Get it again"):
            read_archive(path, official._replace(sha256=hashlib.sha256(content).hexdigest()))
    path.write_bytes(whole)
    monkeypatch.setattr("utils.data.cifar_archive._MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="holds no ordinary file .* of at most 1,000 bytes"):
        read_archive(path, official)


def test_a_binary_batch_that_holds_no_whole_records_is_refused(tmp_path):
    contents, _, _ = make_batches(BINARY)
    contents["data_batch_2.bin"] += b"x"
    official = write_fake(tmp_path, contents, BINARY)
    with pytest.raises(ValueError, match=r"data_batch_2.bin is not a CIFAR-10 batch"):
        read_batches(tmp_path / BINARY.folder, official)


def test_the_binary_edition_is_never_unpickled(tmp_path, monkeypatch):
    official = write_fake(tmp_path, make_batches(BINARY)[0], BINARY)
    monkeypatch.setattr("utils.data.cifar_archive._ArraysOnly", None)
    read_archive(tmp_path / BINARY.archive, official)


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


@EDITIONS
def test_missing_batches_are_named_with_their_hashes(tmp_path, edition):
    official = write_fake(tmp_path, make_batches(edition)[0], edition)
    lost = official.batches[0], official.batches[3]
    for name, _ in lost:
        (tmp_path / edition.folder / name).unlink()
    with pytest.raises(ValueError, match="lacks 2 of the 6") as caught:
        read_batches(tmp_path / edition.folder, official)
    for name, expected in lost:
        assert f"{name} (" in str(caught.value) and expected in str(caught.value)
