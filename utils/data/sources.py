"""Gets the data set: CIFAR-10 from the official archive or a local folder, or painted shapes."""

import os
import tempfile
from pathlib import Path

from utils.data import shapes
from utils.data.cifar_archive import PYTHON, read_archive, source_text
from utils.data.dataset import CIFAR10_CLASSES, Dataset
from utils.data.download import download
from utils.data.local_source import KERAS_ARCHIVES, find_official, load_local
from utils.location import clean_location

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
            Anything else is the path of a local folder that holds an official archive
            (`cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`), the unpacked batches of one, or
            the images of CIFAR-10 as `train/<class>/<image>` and `test/<class>/<image>`; or of
            such an archive itself. How it may be typed: `utils.location.clean_location` and
            `utils.data.lookup.find_path`.
        timeout: Seconds, above 0 and at most 3,600, that the network may be silent.
        report: Function that takes one line of text, for progress and warnings.

    Returns:
        A `Dataset`.

    Raises:
        SourceUnavailableError: If `"cifar10"` is asked for and cannot be had.
        ValueError: If `source` is neither a known word nor a path, or if the local folder does
            not hold what it should.
    """
    name = clean_location(source)
    word = name.lower()
    if word in ("auto", "cifar10", "shapes") and os.path.isdir(name):
        report(f"{name} is a source of data; the folder of that name here is meant by ./{name}")
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
        dataset = load_local(name, report)
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
        found = find_official(folder)
        if not found:
            tried.append(f"Keras cache {folder}: neither an archive nor its batches are there")
        for path, read, edition, source in found:
            try:
                arrays = read(path, edition)
            except (OSError, ValueError) as error:
                tried.append(f"Keras cache: {error}")
            else:
                return Dataset(*arrays, CIFAR10_CLASSES, source)
    try:
        path = _writable(folders) / KERAS_ARCHIVES[0]
        report(f"Downloading CIFAR-10 ({PYTHON.size / 1e6:.0f} MB) from {PYTHON.url}")
        download(
            PYTHON.url,
            path,
            sha256=PYTHON.sha256,
            size=PYTHON.size,
            timeout=timeout,
            report=report,
        )
        return Dataset(*read_archive(path, PYTHON), CIFAR10_CLASSES, source_text(PYTHON, "archive"))
    except OSError as error:
        tried.append(f"Download: {error}")
    raise SourceUnavailableError(
        "CIFAR-10 cannot be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"What to do: connect to the internet; or put a copy of {PYTHON.url} into a folder "
        "and set ASSIGNMENT_DATA to that folder; or set ASSIGNMENT_DATA=shapes to use the "
        "painted shapes on purpose."
    )


def _cache_folders():
    """The folders where Keras keeps data sets, the preferred one first."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    # Keras turns to the temporary folder when the home folder is read-only.
    homes = [os.path.expanduser(home), os.path.join(_temporary_folder(), ".keras")]
    return [Path(folder) / "datasets" for folder in homes]


def _temporary_folder():
    """The one that Keras takes: /tmp, whatever TMPDIR says, where there is one."""
    return "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()


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
