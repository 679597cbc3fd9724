"""What to do about a folder in which no data set is found: what it holds, and what may be meant."""

import hashlib
import itertools
import os
from pathlib import Path

from utils.data.dataset import CIFAR10_CLASSES
from utils.data.file_kind import OTHER, kind_at

# What browsers, and `utils.data.download`, call a file that is still coming.
_PARTIAL = (".part", ".crdownload", ".download", ".partial", ".opdownload", ".tmp")
_SPLITS = {"train": ("training",), "test": ("testing", "val", "valid", "validation")}
_MOST_FOLDERS = _MOST_FILES = 100  # looked into
_MOST_NAMES, _MOST_HINTS = 5, 3  # in a message
_MOST_BYTES = 32_000_000  # a batch of CIFAR-10 has 31 MB


def content_listing(folder):
    """The first few names in a folder for a message, with what the files are if that is known.

    Of other files nothing is shown but the name: they are none of our business. Raises OSError
    where the folder may not be read.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    names = []
    for path in entries[:_MOST_NAMES]:
        kind = "" if path.is_dir() else kind_at(path)
        names.append(path.name if not kind or kind.startswith(OTHER) else f"{path.name}, {kind}")
    return "; ".join(names + ["..."] * (len(entries) > _MOST_NAMES)) or "nothing"


def folder_hints(folder, is_source):
    """What may be meant, or is to be done, where a folder holds no data set.

    Args:
        folder: `pathlib.Path`.
        is_source: Function that tells of a folder whether it holds official files.

    Returns:
        str, sentences that end in a blank, or `""`.
    """

    def usable(path):
        return is_source(path) or all(os.path.isdir(path / split) for split in _SPLITS)

    folder = Path(folder).absolute()
    for above in list(folder.parents)[:2]:  # a split or a class folder of a tree was given
        if folder.relative_to(above).parts[0] in _SPLITS and usable(above):
            return f"Give {above}, the folder above it. "
    # Unlike pathlib, os.path takes a folder that may not be entered for one without files.
    below = [path for path in _entries(folder) if os.path.isdir(path)][:_MOST_FOLDERS]
    deeper = [inner for path in below for inner in _entries(path) if os.path.isdir(inner)]
    for inner in below + deeper[:_MOST_FOLDERS]:
        if usable(inner):
            return f"Give {inner} if that is meant. "
    names = {path.name for path in below}
    if hint := split_hint(names):
        return hint
    if len({name.lower() for name in names} & set(CIFAR10_CLASSES)) > 1:
        return (
            "It holds folders of classes directly: put the images for training into train/<class>/ "
            "and those of the test into test/<class>/. "
        )
    if any(name.startswith("cifar-100-") for name in (*names, folder.name)):
        return "This is CIFAR-100, which has other classes: choose cifar10. "
    found = filter(None, map(_file_hint, _entries(folder)[:_MOST_FILES]))
    return "".join(itertools.islice(found, _MOST_HINTS))


def split_hint(names):
    """How to rename folders to train and test: a sentence that ends in a blank, or `""`."""
    for wanted, others in _SPLITS.items():
        for name in sorted(names):
            if wanted not in names and name.strip().lower() in (wanted, *others):
                return f"Rename {name} to {wanted}. "
    return ""


def _file_hint(path):
    """What is to be done about a file that may be, or become, the data: a sentence, or `""`."""
    if path.suffix.lower() in _PARTIAL:
        return f"{path.name} is a download that is not complete: wait for its end or repeat it. "
    kind = kind_at(path)  # a folder's is none of those below
    if kind == "a gzip archive":
        return f"Give {path} itself if it is the official archive under another name. "
    if kind.endswith("archive"):
        return f"Unpack {path.name}, {kind}, and give the folder that comes out of it. "
    if kind in ("a Parquet table", "a NumPy array", "an archive of NumPy arrays", "an HDF5 file"):
        return (
            f"{path.name} is {kind}, which is not read here: choose cifar10, or save its images as "
            "train/<class>/<image> and test/<class>/<image>. "
        )
    return ""


def renamed_batches(folder, editions):
    """Batches of CIFAR-10 under other names, known by their hashes.

    Args:
        folder: `pathlib.Path`.
        editions: the `utils.data.cifar_archive.Edition`s to look for.

    Returns:
        str, a sentence that ends in a blank and says how to rename them, or `""`.
    """
    renamed = []
    for path in _entries(folder):
        if not os.path.isfile(path) or path.stat().st_size > _MOST_BYTES:
            continue
        if not any(word in path.name.lower() for word in ("batch", ".bin")):
            continue
        content = path.read_bytes()
        for edition in editions:
            digest = hashlib.new(edition.algorithm, content, usedforsecurity=False).hexdigest()
            renamed += [
                (edition, path.name, name)
                for name, expected in edition.batches
                if digest == expected and name != path.name
            ]
    if not renamed:
        return ""
    pairs = ", ".join(f"{name} to {right}" for _, name, right in renamed)
    return (
        f"By their hashes these are batches of the {renamed[0][0].name} edition: rename {pairs}. "
    )


def _entries(folder):
    """The content of a folder, sorted; empty where it may not be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
