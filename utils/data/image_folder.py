"""Reads images from a tree of folders, `<split>/<class>/<image>`."""

import difflib
import hashlib
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.data.folder_hints import split_hint
from utils.data.image_file import NoImageError, quiet_pillow, read_image
from utils.data.lookup import hints

# A file with such a name must be an image; of files with other names, those that are images count.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_SIZE = (32, 32)  # height, width


def read_image_tree(root, class_names, report=print):
    """Reads the images of `root/train/<class>/` and `root/test/<class>/`.

    Images are sorted by class, then by file name, so the result does not depend on the file
    system. What they are is decided by their content, see `utils.data.image_file.decode_image`.
    Whatever else lies there (other files, folders within folders, pipes, links that lead nowhere,
    names that begin with a dot) is passed over, and counted in a line of `report`. So are frames
    behind the first, and images that lie in two classes or in training and test.

    Args:
        root: path of the folder, a str or a `pathlib.Path`.
        class_names: Sequence of the expected folder names; label `i` is `class_names[i]`. Accents
            count alike in both ways of Unicode, as letters of their own and as marks.
        report: Function that takes one line of text.

    Returns:
        `(x_train, y_train, x_test, y_test, formats)`: uint8 `(N, 32, 32, 3)` RGB, int64 `(N,)`,
        and the set of the formats found, such as `"JPEG"` and `"PNG"`.

    Raises:
        ValueError: If there is no such folder, if those in it are not exactly the expected ones,
            if one of them holds no image, or if a file named like an image is not a sound one of
            32x32 pixels.
        OSError: If a file cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        meant = "" if os.path.lexists(root) else hints(str(root))
        raise ValueError(
            f"There is no folder {root}. {meant}Give the folder that holds "
            "train/<class>/ and test/<class>/."
        )
    splits = [root / split for split in ("train", "test")]
    folders = [folder for split in splits for folder in _class_folders(split, class_names)]
    # Pillow decodes outside Python's lock, so threads help.
    with quiet_pillow(), ThreadPoolExecutor() as pool:
        read = list(pool.map(_read_class, folders))
    passed_over = [
        path
        for parent in (root, *splits)
        for path in sorted(parent.iterdir())
        if path not in splits and path not in folders
    ]
    passed_over += [path for part in read for path in part.others]
    animated = [path for part in read for path in part.animated]
    for what, paths in (
        (f"Passed over in {root}, not images of a class", passed_over),
        (f"Images in {root} with several frames, of which the first is taken", animated),
    ):
        if paths:
            names = [path.relative_to(root).as_posix() for path in paths]
            report(f"{what}: {len(names)} ({_listing(names, 3)})")
    n = len(class_names)
    _report_repeats(root, read[:n], read[n:], report)
    labels = [np.full(len(part.images), i % n) for i, part in enumerate(read)]
    return (
        np.concatenate([part.images for part in read[:n]]),
        np.concatenate(labels[:n]).astype(np.int64),
        np.concatenate([part.images for part in read[n:]]),
        np.concatenate(labels[n:]).astype(np.int64),
        set().union(*(part.formats for part in read)),
    )


class _Class(NamedTuple):
    """What a class folder holds: images, with path and content of each, and what is said of it."""

    images: np.ndarray  # uint8 (N, 32, 32, 3)
    paths: list
    digests: list  # of the pixels: the same image in two formats has two contents, but one digest
    formats: set
    others: list  # paths of what is no image
    animated: list  # paths of images with frames that are not read


def _report_repeats(root, train, test, report):
    """Says how many images lie in two classes, or in training and test, the same to the pixel."""

    def show(count, what, pair, harm):
        if count:
            pair = " and ".join(path.relative_to(root).as_posix() for path in pair)
            report(f"WARNING: {count:,} {what}, the same to the pixel (as {pair}): {harm}")

    classes, pair, several = {}, (), set()
    for parts in (train, test):
        for label, part in enumerate(parts):
            for digest, path in zip(part.digests, part.paths):
                first_label, first = classes.setdefault(digest, (label, path))
                if first_label != label:
                    several.add(digest)
                    pair = pair or (first, path)
    show(len(several), "images lie in two classes", pair, "remove them from the wrong one.")
    trained = {digest: path for part in train for digest, path in zip(part.digests, part.paths)}
    tested = [(digest, path) for part in test for digest, path in zip(part.digests, part.paths)]
    both = [(trained[digest], path) for digest, path in tested if digest in trained]
    what = f"of {len(tested):,} test images are training images, too"
    harm = "the measured accuracy will be too high. Remove them from one of the two."
    show(len(both), what, both[0] if both else (), harm)


def _class_folders(folder, class_names):
    """The class folders inside `folder`, in the order of `class_names`."""
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder {folder}. An image tree needs train/<class>/ and test/<class>/. "
            f"{split_hint({path.name for path in folder.parent.iterdir()})}".rstrip()
        )
    content = list(folder.iterdir())
    folders = [path for path in content if path.is_dir() and not path.name.startswith(".")]
    # macOS stores accents as marks, which look the same and are other characters.
    found = {_composed(path.name): path for path in sorted(folders)}
    expected = {_composed(name) for name in class_names}
    if len(found) < len(folders):
        twice = next(p for p in folders if p != found[_composed(p.name)])
        raise ValueError(
            f"{folder} holds two folders {twice.name}, which differ only in how Unicode writes the "
            "accents. Move the images of one into the other and remove it."
        )
    if found.keys() != expected:
        missing, extra = sorted(expected - found.keys()), sorted(found.keys() - expected)
        loose = len(content) - len(found)
        remedy = "Rename, add or remove folders."
        if not found and loose:  # as Kaggle's competition gives them
            remedy = f"{loose:,} files lie in it directly: move them into a folder for each class."
        elif pairs := [(name, near[0]) for name in extra if (near := _near(name, missing))]:
            remedy = f"Rename {', '.join(f'{name} to {near}' for name, near in pairs)}."
        raise ValueError(
            f"{folder} holds {len(found)} class folders, expected exactly these "
            f"{len(class_names)}: {', '.join(class_names)}. "
            f"Missing: {_listing(missing)}; not expected: {_listing(extra)}. {remedy}"
        )
    return [found[_composed(name)] for name in class_names]


def _composed(name):
    return unicodedata.normalize("NFC", name)


def _near(name, class_names):
    """The class name that a folder's name is nearest to, in a list; empty if none is near."""
    return difflib.get_close_matches(name.strip().lower(), class_names, n=1, cutoff=0.7)


def _listing(names, limit=10):
    """Names for a message, at most `limit` of them."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "") or "none"


def _read_class(folder):
    """Reads the images of one class, sorted by name; at least one. Returns `_Class`."""
    found = _Class([], [], [], set(), [], [])
    for path in sorted(folder.iterdir()):
        # Folders, links that lead nowhere, and what would keep a reader waiting, such as pipes.
        if path.name.startswith(".") or not os.path.isfile(path):
            found.others.append(path)
            continue
        try:
            image = read_image(path, path)
        except NoImageError:
            if path.suffix.lower() in SUFFIXES:
                raise
            found.others.append(path)
            continue
        height, width = image.pixels.shape[:2]
        if (height, width) != _SIZE:
            raise ValueError(
                f"{path} has {width}x{height} pixels, expected 32x32. Resize or remove it."
            )
        found.images.append(image.pixels)
        found.paths.append(path)
        found.digests.append(hashlib.blake2b(image.pixels, digest_size=16).digest())
        found.formats.add(image.format)
        if image.more:
            found.animated.append(path)
    if not found.images:
        raise ValueError(
            f"{folder} holds no image, expected at least one. Add images of 32x32 pixels."
        )
    return found._replace(images=np.stack(found.images))
