"""Gets the data set: CIFAR-10 from the official archive or a local folder, or painted shapes."""

import os
import tempfile
from pathlib import Path

from utils.data import shapes
from utils.data.cifar_archive import FOLDER, OFFICIAL, read_archive, read_batches
from utils.data.dataset import CIFAR10_CLASSES, Dataset, channel_statistics, pixel_mean
from utils.data.download import download
from utils.data.image_folder import read_image_tree

__all__ = [
    "CIFAR10_CLASSES",
    "Dataset",
    "SourceUnavailableError",
    "channel_statistics",
    "load_dataset",
    "pixel_mean",
]

# Where the archive and its batches lie in the Keras cache or in a folder of the user. Keras has
# changed its names; the first archive is what Keras calls it now, so Keras finds our download.
_ARCHIVES = (
    "cifar-10-batches-py-target_archive",
    "cifar-10-batches-py_archive",
    "cifar-10-batches-py.tar.gz",
    "cifar-10-python.tar.gz",
)
_BATCH_FOLDERS = (f"cifar-10-batches-py-target/{FOLDER}", f"{FOLDER}/{FOLDER}", FOLDER, ".")

_SHAPES_TRAIN = (25_000, 2019)  # number of images, seed
_SHAPES_TEST = (2_000, 2020)


class SourceUnavailableError(OSError):
    """A data source was asked for by name and cannot be had."""


def load_dataset(source="auto", *, timeout=20.0, report=print):
    """Loads the images.

    Args:
        source: What to load.
            `"cifar10"`: the official archive, from the Keras cache or by download.
            `"shapes"`: painted shapes, 25,000 for training and 2,000 for the test, with masks.
            `"auto"`: as `"cifar10"` if it can be had, else, loudly, as `"shapes"`.
            Anything else is the path of a local folder that holds the official archive
            `cifar-10-python.tar.gz`, its unpacked batches, or the images of CIFAR-10 as
            `train/<class>/*.png|jpg|jpeg` and `test/<class>/*`; or of the archive itself.
        timeout: Seconds, > 0, that the network may be silent.
        report: Function that takes one line of text, for progress and warnings.

    Returns:
        A `Dataset`.

    Raises:
        SourceUnavailableError: If `"cifar10"` is asked for and cannot be had.
        ValueError: If `source` is neither a known word nor a path, or if the local folder does
            not hold what it should.
    """
    name = os.fspath(source).strip()
    word = name.lower()
    if word == "shapes":
        dataset = _load_shapes()
    elif word == "cifar10":
        dataset = _load_official(timeout, report)
    elif word == "auto":
        try:
            dataset = _load_official(timeout, report)
        except SourceUnavailableError as error:
            report("=" * 80)
            report("WARNING: these are NOT the images of CIFAR-10.")
            for line in str(error).splitlines():
                report(line)
            report("Painted shapes (synthetic) take their place; the results are about those.")
            report("=" * 80)
            dataset = _load_shapes()
    else:
        dataset = _load_local(name)
    report(
        f"Data: {dataset.source}; {len(dataset.y_train):,} training and "
        f"{len(dataset.y_test):,} test images"
    )
    return dataset


def _load_shapes():
    x_train, y_train, _ = shapes.make_shapes(*_SHAPES_TRAIN)
    x_test, y_test, masks = shapes.make_shapes(*_SHAPES_TEST)
    names, source = shapes.CLASS_NAMES, "painted shapes (synthetic)"
    return Dataset(x_train, y_train, x_test, y_test, names, source, masks)


def _load_official(timeout, report):
    """CIFAR-10 from the Keras cache, else by download into it."""
    tried = []
    folders = _cache_folders()
    for folder in folders:
        found = _find_official(folder)
        if not found:
            tried.append(f"Keras cache {folder}: neither the archive nor its batches are there")
        for path, read, source in found:
            try:
                arrays = read(path, OFFICIAL)
            except (OSError, ValueError) as error:
                tried.append(f"Keras cache: {error}")
            else:
                return Dataset(*arrays, CIFAR10_CLASSES, source)
    try:
        path = _writable(folders) / _ARCHIVES[0]
        report(f"Downloading CIFAR-10 ({OFFICIAL.size / 1e6:.0f} MB) from {OFFICIAL.url}")
        download(
            OFFICIAL.url,
            path,
            sha256=OFFICIAL.sha256,
            size=OFFICIAL.size,
            timeout=timeout,
            report=report,
        )
        return Dataset(*read_archive(path, OFFICIAL), CIFAR10_CLASSES, "CIFAR-10, official archive")
    except OSError as error:
        tried.append(f"Download: {error}")
    raise SourceUnavailableError(
        "CIFAR-10 cannot be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"What to do: connect to the internet; or put a copy of {OFFICIAL.url} into a folder "
        "and set ASSIGNMENT_DATA to that folder; or set ASSIGNMENT_DATA=shapes to use the "
        "painted shapes on purpose."
    )


def _load_local(name):
    """CIFAR-10 from a folder (or archive) of the user."""
    path = Path(os.path.expanduser(name))
    if not name or not os.path.exists(path):
        raise ValueError(
            f"Unknown data source {name!r}: choose auto, cifar10, shapes, or the path of a local "
            f"folder. There is no file or folder {str(path.absolute())!r}."
        )
    if path.is_file():
        arrays = read_archive(path, OFFICIAL)
        return Dataset(*arrays, CIFAR10_CLASSES, "CIFAR-10, official archive")
    for found, read, source in _find_official(path):
        return Dataset(*read(found, OFFICIAL), CIFAR10_CLASSES, source)
    if (path / "train").is_dir() or (path / "test").is_dir():
        *arrays, formats = read_image_tree(path, CIFAR10_CLASSES)
        source = f"CIFAR-10, image folder ({' and '.join(sorted(formats))})"
        return Dataset(*arrays, CIFAR10_CLASSES, source)
    content = sorted(p.name for p in path.iterdir())[:5]
    raise ValueError(
        f"The folder {path} holds no CIFAR-10 (first names in it: {content}). "
        f"Expected {_ARCHIVES[-1]}, or {FOLDER}/ with data_batch_1 and so on, or train/<class>/ "
        f"and test/<class>/ with the classes {', '.join(CIFAR10_CLASSES)}."
    )


def _cache_folders():
    """The folders where Keras keeps data sets, the preferred one first."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    # Keras turns to the temporary folder when the home folder is read-only.
    homes = [os.path.expanduser(home), os.path.join(tempfile.gettempdir(), ".keras")]
    return [Path(folder) / "datasets" for folder in homes]


def _writable(folders):
    """The first of the folders that can be written to, created if need be."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue  # the next one may do; if none does, the error below names them all
        if os.access(folder, os.W_OK):
            return folder
    raise OSError(f"no folder can be written to, of {', '.join(map(str, folders))}")


def _find_official(folder):
    """Every copy of the official files in `folder`, archives first.

    Returns:
        List of `(path, read, source)`: `read(path, OFFICIAL)` gives the four arrays.
    """
    archives = [folder / name for name in _ARCHIVES]
    batches = [folder / name for name in _BATCH_FOLDERS]
    # Unlike pathlib, os.path takes a folder that may not be entered for one without files.
    found = [
        (path, read_archive, "CIFAR-10, official archive")
        for path in archives
        if os.path.isfile(path)
    ]
    found += [
        (path, read_batches, "CIFAR-10, official batches")
        for path in batches
        if os.path.isfile(path / OFFICIAL.batches[0][0])
    ]
    return found
