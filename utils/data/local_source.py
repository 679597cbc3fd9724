"""Reads CIFAR-10 from a folder or an archive of the user."""

import difflib
import os
from pathlib import Path

from utils.data.cifar_archive import BINARY, PYTHON, read_archive, read_batches, source_text
from utils.data.dataset import CIFAR10_CLASSES, Dataset
from utils.data.file_kind import kind_at
from utils.data.folder_hints import content_listing, folder_hints, renamed_batches
from utils.data.image_folder import read_image_tree
from utils.data.lookup import find_path, hints
from utils.location import is_address, shown

# Where Keras keeps the Python edition; it has changed its names. The first is what Keras calls the
# archive now, so Keras finds our download.
KERAS_ARCHIVES = (
    "cifar-10-batches-py-target_archive",
    "cifar-10-batches-py_archive",
    "cifar-10-batches-py.tar.gz",
)
_KERAS_FOLDERS = (
    "cifar-10-batches-py-target/cifar-10-batches-py",
    "cifar-10-batches-py/cifar-10-batches-py",
)
_CHOICES = "choose auto, cifar10, shapes, or the path of a local folder"
_EXPECTED = (
    f"{PYTHON.archive} or {BINARY.archive}, or {PYTHON.folder}/ with {PYTHON.batches[0][0]} and so "
    f"on, or {BINARY.folder}/ with {BINARY.batches[0][0]} and so on, or train/<class>/ and "
    f"test/<class>/ with the classes {', '.join(CIFAR10_CLASSES)}"
)


def load_local(name, report):
    """CIFAR-10 from a folder (or archive) of the user.

    Args:
        name: str, from `utils.location.clean_location`.
        report: Function that takes one line of text.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If there is no such folder, or if it does not hold what it should.
        OSError: If a file cannot be read.
    """
    if not name:
        raise ValueError(f"No source of data is named: {_CHOICES}.")
    if is_address(name):
        raise ValueError(
            f"Data are read from a local folder, not from an address: {shown(name)}. Choose "
            "cifar10, which downloads the official archive, or download the data and give the path."
        )
    path = find_path(name)
    if path is None:
        absolute = shown(str(Path(name).absolute()), limit=300)
        words = difflib.get_close_matches(name.lower(), ("auto", "cifar10", "shapes"), n=1)
        hint = f"Is {words[0]} meant? " if words else hints(name)
        raise ValueError(
            f"Unknown data source {shown(name)}: {_CHOICES}. There is no file or folder "
            f"{absolute}. {hint}".rstrip()
        )
    if not path.is_dir():
        return _load_file(path)
    found = find_official(path)
    has_tree = (path / "train").is_dir() or (path / "test").is_dir()
    if found:
        (taken, read, edition, source), *others = found
        # One copy is as good as another, since each is compared with its hash before it is used.
        left = [str(other) for other, *_ in others] + ["train/ and test/"] * has_tree
        if left:
            report(f"Reading {taken}; also there, not read: {', '.join(left)}")
        try:
            return Dataset(*read(taken, edition), CIFAR10_CLASSES, source)
        except ValueError as error:
            known = renamed_batches(taken, (PYTHON, BINARY)) if read is read_batches else ""
            raise ValueError(f"{error} {known}".rstrip()) from error
    if has_tree:
        *arrays, formats = read_image_tree(path, CIFAR10_CLASSES, report)
        source = f"CIFAR-10, image folder ({' and '.join(sorted(formats))})"
        return Dataset(*arrays, CIFAR10_CLASSES, source)
    known = renamed_batches(path, (PYTHON, BINARY))
    hint = known or folder_hints(path, lambda inner: bool(find_official(inner)))
    raise ValueError(
        f"The folder {path} holds no CIFAR-10 (first in it: {content_listing(path)}). "
        f"{hint}Expected {_EXPECTED}."
    )


def _load_file(path):
    """CIFAR-10 from an archive of the user, whatever its name."""
    if any(path.name == name for edition in (PYTHON, BINARY) for name, _ in edition.batches):
        raise ValueError(
            f"{path} is one batch of six. Give the folder that holds all: {path.parent}"
        )
    kind = kind_at(path)
    if kind != "a gzip archive":
        raise ValueError(
            f"{path} is {kind}, no official CIFAR-10 archive. Give the folder that holds "
            f"{_EXPECTED}. Other archives must be unpacked first; the folder is then given."
        )
    named = [edition for edition in (PYTHON, BINARY) if edition.archive == path.name]
    errors = []
    for edition in named or [PYTHON, BINARY]:
        try:
            arrays = read_archive(path, edition)
        except ValueError as error:
            errors.append(str(error))
        else:
            return Dataset(*arrays, CIFAR10_CLASSES, source_text(edition, "archive"))
    errors.append("If it holds images of your own, unpack it and give the folder.")
    raise ValueError("\n".join(errors))


def find_official(folder):
    """Every copy of the official files in `folder`: Python edition before binary, archives first.

    Args:
        folder: `pathlib.Path`.

    Returns:
        List of `(path, read, edition, source)`: `read(path, edition)` gives the four arrays.
    """
    found = []
    for edition, archives, folders in (
        (PYTHON, KERAS_ARCHIVES, _KERAS_FOLDERS),
        (BINARY, (), ()),
    ):
        # Unlike pathlib, os.path takes a folder that may not be entered for one without files.
        for path in [folder / name for name in (*archives, edition.archive)]:
            if os.path.isfile(path):
                found.append((path, read_archive, edition, source_text(edition, "archive")))
        for path in [folder / name for name in (*folders, edition.folder, ".")]:
            if any(os.path.isfile(path / name) for name, _ in edition.batches):
                found.append((path, read_batches, edition, source_text(edition, "batches")))
    return found
