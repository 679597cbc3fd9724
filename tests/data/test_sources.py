"""Tests of the choice of the data source; none touches the internet."""

import os
import socket
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from sample_archives import make_batches, write_fake

from utils.data import local_source
from utils.data import sources as data
from utils.data.cifar_archive import BINARY
from utils.data.dataset import CIFAR10_CLASSES
from utils.data.shapes import CLASS_NAMES, make_shapes
from utils.data.sources import SourceUnavailableError, load_dataset

KERAS_ARCHIVE = "cifar-10-batches-py-target_archive"  # the name in Keras 3.15
NOWHERE = "http://127.0.0.1:9/cifar-10-python.tar.gz"  # refuses at once


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A small fake of the official archive, an empty Keras cache and no network."""
    fake = write_fake(tmp_path / "published", make_batches()[0])
    monkeypatch.setattr(data, "PYTHON", fake._replace(url=NOWHERE))
    monkeypatch.setattr(local_source, "PYTHON", fake._replace(url=NOWHERE))
    monkeypatch.setattr(data, "_SHAPES_TRAIN", (30, 1))
    monkeypatch.setattr(data, "_SHAPES_TEST", (20, 2))
    monkeypatch.setattr(data, "_temporary_folder", lambda: str(tmp_path / "temporary"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    return fake


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "keras" / "datasets"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def published(official, tmp_path, monkeypatch):
    """The fake archive on a server of this machine."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = partial(Handler, directory=str(tmp_path / "published"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
        monkeypatch.setattr(data, "PYTHON", official._replace(url=url))
        yield official
        server.shutdown()


@pytest.fixture
def binary(official, tmp_path, monkeypatch):
    """A fake of the binary edition, beside that of the Python edition."""
    fake = write_fake(tmp_path / "published", make_batches(BINARY)[0], BINARY)
    monkeypatch.setattr(local_source, "BINARY", fake)
    return fake


def is_official(dataset):
    _, images, labels = make_batches()
    np.testing.assert_array_equal(dataset.x_train, images[:5].reshape(-1, 32, 32, 3))
    np.testing.assert_array_equal(dataset.y_train, labels[:5].ravel())
    np.testing.assert_array_equal(dataset.x_test, images[5])
    np.testing.assert_array_equal(dataset.y_test, labels[5])
    return dataset.class_names == CIFAR10_CLASSES and dataset.test_masks is None


def forbid_download(monkeypatch):
    def download(*args, **kwargs):
        raise AssertionError("nothing is to be downloaded")

    monkeypatch.setattr(data, "download", download)


def write_tree(root, names=CIFAR10_CLASSES, suffix=".png", size=32):
    for split in ("train", "test"):
        for value, name in enumerate(names):
            folder = root / split / name
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / f"0{suffix}"), np.full((size, size, 3), value, np.uint8))


# The official archive from a local folder, the cache and the server.


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("published/cifar-10-python.tar.gz", "CIFAR-10, official archive"),
        ("published/cifar-10-batches-py", "CIFAR-10, official batches"),
    ],
)
def test_a_local_copy_is_read(official, tmp_path, monkeypatch, path, source):
    forbid_download(monkeypatch)
    lines = []
    dataset = load_dataset(tmp_path / path, report=lines.append)
    assert is_official(dataset) and dataset.source == source
    assert lines == [f"Data: {source}; 20 training and 4 test images"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cifar-10-binary.tar.gz", "CIFAR-10, official binary archive"),
        ("cifar-10-batches-bin", "CIFAR-10, official binary batches"),
    ],
)
def test_the_binary_edition_has_the_same_images(binary, tmp_path, path, source):
    lines = []
    dataset = load_dataset(tmp_path / "published" / path, report=lines.append)
    assert is_official(dataset) and dataset.source == source
    python = load_dataset(tmp_path / "published/cifar-10-batches-py", report=lines.append)
    assert dataset.content_hash == python.content_hash
    (tmp_path / "alone").mkdir()
    (tmp_path / "published" / path).rename(tmp_path / "alone" / path)
    assert load_dataset(tmp_path / "alone", report=lines.append).source == source


def test_of_a_folder_with_everything_one_copy_is_read_and_the_others_are_named(binary, tmp_path):
    write_tree(tmp_path / "published")
    lines = []
    dataset = load_dataset(tmp_path / "published", report=lines.append)
    assert is_official(dataset) and dataset.source == "CIFAR-10, official archive"
    assert lines[0].startswith(f"Reading {tmp_path / 'published/cifar-10-python.tar.gz'}; also")
    for name in ("batches-py", "binary.tar.gz", "batches-bin"):
        assert f"cifar-10-{name}" in lines[0]
    assert "train/ and test/" in lines[0]


def test_of_both_editions_a_damaged_one_is_not_passed_over(binary, tmp_path):
    (tmp_path / "published/cifar-10-python.tar.gz").unlink()
    path = tmp_path / "published/cifar-10-batches-py/data_batch_1"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="data_batch_1 is not the official CIFAR-10 batch"):
        load_dataset(tmp_path / "published", report=lambda line: None)
    path.unlink()
    with pytest.raises(ValueError, match="lacks 1 of the 6 CIFAR-10 batches"):
        load_dataset(tmp_path / "published", report=lambda line: None)


def test_a_folder_that_holds_the_unpacked_batches(official, tmp_path):
    (tmp_path / "published/cifar-10-python.tar.gz").unlink()
    dataset = load_dataset(str(tmp_path / "published"), report=lambda line: None)
    assert is_official(dataset) and dataset.source == "CIFAR-10, official batches"


def test_a_tilde_stands_for_the_home_folder(official, tmp_path):
    (tmp_path / "published").rename(tmp_path / "home")
    assert is_official(load_dataset("~", report=lambda line: None))


@pytest.mark.parametrize("source", ["auto", "cifar10", "CIFAR10"])
@pytest.mark.parametrize(
    "name", [KERAS_ARCHIVE, "cifar-10-batches-py_archive", "cifar-10-batches-py.tar.gz"]
)
def test_an_archive_in_the_keras_cache_is_used(
    official, cache, tmp_path, monkeypatch, name, source
):
    forbid_download(monkeypatch)
    (tmp_path / "published/cifar-10-python.tar.gz").rename(cache / name)
    assert is_official(load_dataset(source, report=lambda line: None))


@pytest.mark.parametrize(
    "name", ["cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py"]
)
def test_batches_in_the_keras_cache_are_used(official, cache, tmp_path, monkeypatch, name):
    forbid_download(monkeypatch)
    (cache / name).parent.mkdir(exist_ok=True)
    (tmp_path / "published/cifar-10-batches-py").rename(cache / name)
    assert is_official(load_dataset("auto", report=lambda line: None))


def test_a_download_lands_in_the_cache_and_is_used_again(published, tmp_path, monkeypatch):
    lines = []
    assert is_official(load_dataset("cifar10", report=lines.append))
    assert lines[0].startswith("Downloading CIFAR-10") and "http://127.0.0.1" in lines[0]
    assert lines[-1] == "Data: CIFAR-10, official archive; 20 training and 4 test images"
    assert [p.name for p in (tmp_path / "keras/datasets").iterdir()] == [KERAS_ARCHIVE]
    forbid_download(monkeypatch)
    assert is_official(load_dataset("cifar10", report=lambda line: None))


def test_a_broken_file_in_the_cache_is_replaced(published, cache):
    (cache / KERAS_ARCHIVE).write_bytes(b"half of it")
    assert is_official(load_dataset("auto", report=lambda line: None))
    assert (cache / KERAS_ARCHIVE).stat().st_size == published.size


@pytest.mark.skipif(not os.path.isdir("/tmp"), reason="as on Windows")
def test_where_there_is_tmp_the_temporary_folder_is_that_of_keras(tmp_path, monkeypatch):
    """Keras asks for /tmp first: each finds the other's copy, also where TMPDIR is set."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert data._cache_folders()[1] == Path("/tmp/.keras/datasets")
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/tmp")
    assert data._cache_folders()[1] == tmp_path / ".keras" / "datasets"


def test_without_a_writable_home_the_temporary_folder_serves(published, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    assert is_official(load_dataset("cifar10", report=lambda line: None))
    assert (tmp_path / "temporary/.keras/datasets" / KERAS_ARCHIVE).is_file()


# What cannot be had.


def test_a_named_source_that_cannot_be_had_is_an_error(official, cache, tmp_path):
    (cache / KERAS_ARCHIVE).write_bytes(b"broken")
    with pytest.raises(SourceUnavailableError) as caught:
        load_dataset("cifar10", report=lambda line: None)
    message = str(caught.value)
    assert f"{cache / KERAS_ARCHIVE} is not the official CIFAR-10 archive" in message
    assert f"{tmp_path / 'temporary/.keras/datasets'}: neither" in message
    assert f"Download: cannot open {NOWHERE!r}" in message and "refused" in message
    assert "ASSIGNMENT_DATA" in message


def test_auto_falls_back_loudly(official):
    lines = []
    dataset = load_dataset(report=lines.append)
    images, labels, _ = make_shapes(30, 1)
    test_images, test_labels, masks = make_shapes(20, 2)
    np.testing.assert_array_equal(dataset.x_train, images)
    np.testing.assert_array_equal(dataset.y_train, labels)
    np.testing.assert_array_equal(dataset.x_test, test_images)
    np.testing.assert_array_equal(dataset.y_test, test_labels)
    np.testing.assert_array_equal(dataset.test_masks, masks)
    assert dataset.source == "painted shapes (synthetic)"
    assert dataset.class_names == CLASS_NAMES
    text = "\n".join(lines)
    assert "WARNING: these are NOT the images of CIFAR-10" in text
    assert "Tried:" in text and NOWHERE in text and "What to do:" in text
    assert not any("\n" in line or "\r" in line for line in lines)


def test_auto_does_not_wait_for_a_silent_server(official, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(data, "PYTHON", official._replace(url=url))
        lines = []
        start = time.monotonic()
        dataset = load_dataset("auto", timeout=0.3, report=lines.append)
        assert time.monotonic() - start < 15  # without a limit for ever
    assert dataset.source == "painted shapes (synthetic)"
    assert any("WARNING" in line for line in lines)
    assert any("no answer" in line or "timed out" in line for line in lines)


def test_a_bad_timeout_is_an_error_and_no_reason_to_fall_back(official):
    with pytest.raises(ValueError, match="timeout must be above 0"):
        load_dataset("auto", timeout=0, report=lambda line: None)


def test_shapes_are_asked_for_without_a_warning_or_a_look_at_the_network(official, monkeypatch):
    forbid_download(monkeypatch)
    lines = []
    dataset = load_dataset(" Shapes ", report=lines.append)
    assert lines == ["Data: painted shapes (synthetic); 30 training and 20 test images"]
    assert dataset.test_masks.shape == (20, 32, 32)


def test_the_shapes_of_training_and_test_have_different_seeds():
    assert data._SHAPES_TRAIN[0] == 25_000 and data._SHAPES_TEST[0] == 2_000
    assert data._SHAPES_TRAIN[1] != data._SHAPES_TEST[1]


# Bad local folders.


@pytest.mark.parametrize("source", ["cifar-10", "no/such/folder", "mnist", "x" * 5000])
def test_an_unknown_source_lists_the_choices(official, source):
    with pytest.raises(ValueError, match=r"choose auto, cifar10, shapes, or the path.*no file"):
        load_dataset(source)


@pytest.mark.parametrize(
    ("typed", "word"), [("CIFAR-10", "cifar10"), ("cifar 10", "cifar10"), ("Shape", "shapes")]
)
def test_a_word_that_is_nearly_one_is_offered(official, typed, word):
    with pytest.raises(ValueError, match=rf"Is {word} meant\?$"):
        load_dataset(typed)


def test_no_source_is_named(official):
    for source in ("", " ", '""'):
        with pytest.raises(ValueError, match="^No source of data is named: choose auto") as caught:
            load_dataset(source)
        assert "There is no" not in str(caught.value)


def test_a_folder_that_looks_the_same_is_read_and_one_that_is_near_is_offered(official, tmp_path):
    (tmp_path / "published").rename(tmp_path / "Mein Übungsordner ")
    assert is_official(load_dataset(tmp_path / "Mein U\u0308bungsordner", report=lambda line: None))
    with pytest.raises(ValueError, match="Is .*/Mein Übungsordner  meant"):
        load_dataset(tmp_path / "mein übungsordner")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_what_is_no_ordinary_file_is_named(official, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for path, kind in (
        ("/dev/zero", "a device"),
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "link", f"a link to {tmp_path}/gone, which is not there"),
    ):
        with pytest.raises(ValueError, match=f"{path} is {kind}, no official CIFAR-10 archive"):
            load_dataset(path)


def test_a_folder_without_images_says_what_is_expected(official, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no CIFAR-10.*cifar-10-python.tar.gz.*train/<class>/"):
        load_dataset(tmp_path / "empty")


def test_a_local_archive_with_another_hash_is_refused(binary, tmp_path):
    for edition in (data.PYTHON, binary):
        path = tmp_path / "published" / edition.archive
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(ValueError, match=f"not the official.*expected {edition.sha256}"):
            load_dataset(path)
    with pytest.raises(ValueError, match=f"not the official.*expected {data.PYTHON.sha256}"):
        load_dataset(path.parent)


def test_an_archive_of_any_name_is_taken_by_its_hash(binary, tmp_path):
    for edition in (data.PYTHON, binary):
        path = (tmp_path / "published" / edition.archive).rename(tmp_path / "cifar (1).tgz")
        assert is_official(load_dataset(path, report=lambda line: None))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=f"(?s){data.PYTHON.sha256}.*{binary.sha256}.*unpack it"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("images.zip", b"PK\x03\x04...", "a ZIP archive"),
        ("images.tar", b"\0" * 257 + b"ustar", "a tar archive"),
        ("cat.png", b"\x89PNG\r\n", "a PNG image"),
        ("cifar-10-python.tar.gz", b"  <!DOCTYPE html>", "a web page"),
        ("empty.tar.gz", b"", "an empty file"),
        ("images.npy", b"\x93NUMPY", "a NumPy array"),
        ("cifar10.parquet", b"PAR1", "a Parquet table"),
        ("notes.txt", b"notes", "a file of another kind"),
    ],
)
def test_another_file_is_named_for_what_it_is_and_nobody_is_told_to_delete_it(
    official, tmp_path, name, content, kind
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is {kind}.*Give the folder") as caught:
        load_dataset(tmp_path / name)
    assert "elete" not in str(caught.value)


def test_a_single_batch_leads_to_its_folder(binary, tmp_path):
    for edition in (data.PYTHON, binary):
        folder = tmp_path / "published" / edition.folder
        with pytest.raises(ValueError, match=f"one batch of six. Give the folder.*{folder}"):
            load_dataset(folder / edition.batches[2][0])
        assert is_official(load_dataset(folder, report=lambda line: None))


def test_a_folder_too_high_up_leads_to_the_right_one(official, tmp_path):
    with pytest.raises(ValueError, match=f"Give {tmp_path}/published if that is meant"):
        load_dataset(tmp_path)
    write_tree(tmp_path / "outer/CIFAR-10-images-master")
    with pytest.raises(ValueError, match="Give .*/CIFAR-10-images-master if that is meant"):
        load_dataset(tmp_path / "outer")


def test_a_folder_too_deep_leads_to_the_right_one(official, tmp_path):
    write_tree(tmp_path / "tree")
    for inner in ("train", "test", "train/cat", "test/dog"):
        with pytest.raises(ValueError, match=f"Give {tmp_path}/tree, the folder above it"):
            load_dataset(tmp_path / "tree" / inner)
    assert load_dataset(tmp_path / "tree", report=lambda line: None).is_cifar10


def test_batches_under_other_names_are_known_by_their_hashes(binary, tmp_path):
    python = tmp_path / "published" / data.PYTHON.folder
    other = tmp_path / "published" / binary.folder
    for edition, folder, change in (
        (
            data.PYTHON,
            python,
            lambda name: f"{name}.bin",
        ),  # a browser that names what it does not know
        (binary, other, lambda name: name.removesuffix(".bin")),  # Windows that hides an ending
        (data.PYTHON, python, lambda name: f"{name} (1)"),
    ):
        names = [name for name, _ in edition.batches]
        for name in names:
            (folder / name).rename(folder / change(name))
        with pytest.raises(
            ValueError, match=f"are batches of the {edition.name} edition"
        ) as caught:
            load_dataset(folder)
        for name in names:
            assert f"{change(name)} to {name}" in str(caught.value)
            (folder / change(name)).rename(folder / name)
        assert is_official(load_dataset(folder, report=lambda line: None))


def test_a_folder_named_like_a_source_is_pointed_out(official, tmp_path, monkeypatch):
    write_tree(tmp_path / "shapes")
    monkeypatch.chdir(tmp_path)
    lines = []
    assert not load_dataset("shapes", report=lines.append).is_cifar10
    assert lines[0].endswith("the folder of that name here is meant by ./shapes")
    assert load_dataset("./shapes", report=lines.append).is_cifar10


def test_quotes_blanks_and_line_ends_around_a_source_are_dropped(official, tmp_path):
    path = f' "{tmp_path}/published"\n'
    assert is_official(load_dataset(path, report=lambda line: None))
    lines = []
    load_dataset("'shapes' ", report=lines.append)
    assert lines == ["Data: painted shapes (synthetic); 30 training and 20 test images"]


def test_an_address_is_no_source(official):
    with pytest.raises(ValueError, match="not from an address.*Choose cifar10, which downloads"):
        load_dataset("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz")


def test_local_batches_with_another_hash_are_refused(official, tmp_path):
    path = tmp_path / "published/cifar-10-batches-py/data_batch_2"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"data_batch_2 is not the official CIFAR-10 batch"):
        load_dataset(path.parent)


@pytest.mark.parametrize(("suffix", "text"), [(".png", "PNG"), (".jpg", "JPEG")])
def test_an_image_tree_is_read(official, tmp_path, suffix, text):
    write_tree(tmp_path / "tree", suffix=suffix)
    dataset = load_dataset(tmp_path / "tree", report=lambda line: None)
    assert dataset.source == f"CIFAR-10, image folder ({text})"
    np.testing.assert_array_equal(dataset.y_train, np.arange(10))
    for label, image in enumerate(dataset.x_train):
        assert np.abs(image.astype(int) - label).max() <= 1
    assert dataset.class_names == CIFAR10_CLASSES
    assert CIFAR10_CLASSES == tuple(sorted(CIFAR10_CLASSES))  # as in the archive's batches.meta


def test_a_tree_of_both_formats_says_so(official, tmp_path):
    write_tree(tmp_path / "tree")
    path = tmp_path / "tree/train/cat/1.jpg"
    cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))
    dataset = load_dataset(tmp_path / "tree", report=lambda line: None)
    assert dataset.source == "CIFAR-10, image folder (JPEG and PNG)"


def test_a_tree_with_a_wrong_number_of_classes_is_refused(official, tmp_path):
    write_tree(tmp_path / "tree", names=CIFAR10_CLASSES[:9])
    with pytest.raises(ValueError, match="holds 9 class folders, expected exactly these 10.*truck"):
        load_dataset(tmp_path / "tree")


def test_a_tree_with_images_of_another_size_is_refused(official, tmp_path):
    write_tree(tmp_path / "tree", size=64)
    with pytest.raises(ValueError, match="has 64x64 pixels, expected 32x32. Resize"):
        load_dataset(tmp_path / "tree")


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_tree_without_one_part_is_refused(official, tmp_path, missing):
    write_tree(tmp_path / "tree")
    (tmp_path / "tree" / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"There is no folder .*{missing}"):
        load_dataset(tmp_path / "tree")
