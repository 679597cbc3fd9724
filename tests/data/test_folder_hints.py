"""Folders in which newcomers look for a data set that is not there, or not yet."""

import io
import os
import zipfile

import pytest

from utils.data.folder_hints import content_listing, folder_hints, renamed_batches

ZIP, GZIP = b"PK\x03\x04...", b"\x1f\x8b..."


def hint(folder):
    return folder_hints(folder, lambda path: os.path.isfile(path / "data_batch_1"))


def tree(folder):
    for split in ("train", "test"):
        (folder / split / "cat").mkdir(parents=True)
    return folder


def test_one_or_two_levels_too_high(tmp_path):
    tree(tmp_path / "archive/cifar10")  # as the archives of Kaggle unpack
    assert hint(tmp_path / "archive") == f"Give {tmp_path}/archive/cifar10 if that is meant. "
    assert hint(tmp_path) == f"Give {tmp_path}/archive/cifar10 if that is meant. "


def test_one_or_two_levels_too_deep(tmp_path, monkeypatch):
    tree(tmp_path / "tree")
    for inner in ("train", "test/cat"):
        assert hint(tmp_path / "tree" / inner) == f"Give {tmp_path}/tree, the folder above it. "
    monkeypatch.chdir(tmp_path / "tree/train")
    assert hint(".") == f"Give {tmp_path}/tree, the folder above it. "


def test_a_folder_called_train_elsewhere_is_not_taken_for_a_part_of_a_tree(tmp_path):
    (tmp_path / "train/more").mkdir(parents=True)
    assert hint(tmp_path / "train") == ""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Train", "Test"), "Rename Train to train. "),
        (("train ", "test"), "Rename train  to train. "),
        (("train", "valid"), "Rename valid to test. "),
        (("Training", "Testing"), "Rename Training to train. "),
        (("cat", "dog", "more"), "It holds folders of classes directly: put the images"),
    ],
)
def test_folders_under_other_names(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).mkdir()
    assert hint(tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("tree.zip", ZIP, "Unpack tree.zip, a ZIP archive, and give the folder that comes out"),
        ("train.7z", b"7z\xbc\xaf", "Unpack train.7z, a 7z archive"),
        ("cifar-10-python (1).tar.gz", GZIP, "Give {folder}/cifar-10-python (1).tar.gz itself"),
        ("cifar-10-python.tar", b"\0" * 257 + b"ustar", "Unpack cifar-10-python.tar, a tar"),
        ("Unconfirmed 123.crdownload", GZIP, "Unconfirmed 123.crdownload is a download that"),
        ("cifar-10-batches-py.tar.gz.99.part", b"", "cifar-10-batches-py.tar.gz.99.part is a down"),
        ("train-00000-of-00001.parquet", b"PAR1", "train-00000-of-00001.parquet is a Parquet tab"),
        ("cifar.npz", b"PK\x03\x04" + bytes(26) + b"x.npy", "cifar.npz is an archive of NumPy arr"),
        ("x_train.npy", b"\x93NUMPY", "x_train.npy is a NumPy array, which is not read here"),
        ("readme.txt", b"x", ""),
    ],
)
def test_files_that_are_not_the_data_yet(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    found = hint(tmp_path)
    assert found.startswith(expected.format(folder=tmp_path)) and bool(found) == bool(expected)


def test_what_comes_out_of_an_archive_is_offered_next(tmp_path):
    """The advice, followed twice, for an archive in an archive."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"cifar/{split}/", "")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    for name in ("outer.zip", "inner.zip"):
        assert hint(tmp_path).startswith(f"Unpack {name}, a ZIP archive")
        with zipfile.ZipFile(tmp_path / name) as archive:
            archive.extractall(tmp_path)
        (tmp_path / name).unlink()
    assert hint(tmp_path) == f"Give {tmp_path}/cifar if that is meant. "


def test_a_listing_says_what_the_files_are(tmp_path):
    assert content_listing(tmp_path) == "nothing"
    (tmp_path / "a").mkdir()
    (tmp_path / "b.zip").write_bytes(ZIP)
    assert content_listing(tmp_path) == "a; b.zip, a ZIP archive"
    for index in range(9):
        (tmp_path / f"c{index}").mkdir()
    assert content_listing(tmp_path) == "a; b.zip, a ZIP archive; c0; c1; c2; ..."


def test_a_listing_shows_nothing_of_files_that_are_none_of_our_business(tmp_path):
    (tmp_path / ".netrc").write_text("password")
    (tmp_path / "keys.txt").write_text("secret")
    assert content_listing(tmp_path) == "keys.txt"


def test_another_data_set_of_the_same_family(tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    for folder in (tmp_path, tmp_path / "cifar-100-python"):
        assert hint(folder) == "This is CIFAR-100, which has other classes: choose cifar10. "


def test_of_many_archives_a_few_are_named(tmp_path):
    for index in range(9):
        (tmp_path / f"{index}.zip").write_bytes(ZIP)
    assert hint(tmp_path).count("Unpack ") == 3


def test_a_folder_beside_that_may_not_be_entered_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    tree(tmp_path / "b")
    stat = os.stat

    def forbidden(path, *args, **kwargs):
        if str(path).startswith(f"{tmp_path}/a/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", forbidden)
    assert hint(tmp_path) == f"Give {tmp_path}/b if that is meant. "


def test_folders_that_may_not_be_read_or_are_not_there(tmp_path):
    assert hint(tmp_path / "gone") == ""
    with pytest.raises(OSError, match="gone"):
        content_listing(tmp_path / "gone")
    assert renamed_batches(tmp_path / "gone", ()) == ""
