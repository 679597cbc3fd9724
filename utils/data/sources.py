"""Gets the data set: CIFAR-10 from the official archive or a local folder, or painted shapes."""

import os
import tempfile
from pathlib import Path

from utils.data import shapes
from utils.data.cifar_archive import BINARY, PYTHON, read_archive, read_batches
from utils.data.dataset import CIFAR10_CLASSES, Dataset
from utils.data.download import download
from utils.data.file_kind import kind_of
from utils.data.image_folder import read_image_tree
from utils.data.location import clean_location, is_address, shown

# Where Keras keeps the Python edition; it has changed its names. The first is what Keras calls the
# archive now, so Keras finds our download.
_KERAS_ARCHIVES = (
    "cifar-10-batches-py-target_archive",
    "cifar-10-batches-py_archive",
    "cifar-10-batches-py.tar.gz",
)
_KERAS_FOLDERS = (
    "cifar-10-batches-py-target/cifar-10-batches-py",
    "cifar-10-batches-py/cifar-10-batches-py",
)

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
            such an archive itself. Blanks and quotation marks around it are dropped.
        timeout: Seconds, > 0, that the network may be silent.
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
        dataset = _load_local(name, report)
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
            tried.append(f"Keras cache {folder}: neither an archive nor its batches are there")
        for path, read, edition, source in found:
            try:
                arrays = read(path, edition)
            except (OSError, ValueError) as error:
                tried.append(f"Keras cache: {error}")
            else:
                return Dataset(*arrays, CIFAR10_CLASSES, source)
    try:
        path = _writable(folders) / _KERAS_ARCHIVES[0]
        report(f"Downloading CIFAR-10 ({PYTHON.size / 1e6:.0f} MB) from {PYTHON.url}")
        download(
            PYTHON.url,
            path,
            sha256=PYTHON.sha256,
            size=PYTHON.size,
            timeout=timeout,
            report=report,
        )
        return Dataset(*read_archive(path, PYTHON), CIFAR10_CLASSES, "CIFAR-10, official archive")
    except OSError as error:
        tried.append(f"Download: {error}")
    raise SourceUnavailableError(
        "CIFAR-10 cannot be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"What to do: connect to the internet; or put a copy of {PYTHON.url} into a folder "
        "and set ASSIGNMENT_DATA to that folder; or set ASSIGNMENT_DATA=shapes to use the "
        "painted shapes on purpose."
    )


def _load_local(name, report):
    """CIFAR-10 from a folder (or archive) of the user; `name` is a cleaned location."""
    if is_address(name):
        raise ValueError(
            f"Data are read from a local folder, not from an address: {shown(name)}. Choose "
            "cifar10, which downloads the official archive, or download the data and give the path."
        )
    path = Path(name)
    # Unlike pathlib, os.path takes a name that is too long for one that does not exist.
    if not name or not os.path.exists(path):
        raise ValueError(
            f"Unknown data source {shown(name)}: choose auto, cifar10, shapes, or the path of a "
            f"local folder. There is no file or folder {shown(str(path.absolute()), limit=300)}."
        )
    if path.is_file():
        return _load_file(path)
    found = _find_official(path)
    has_tree = (path / "train").is_dir() or (path / "test").is_dir()
    if found:
        (taken, read, edition, source), *others = found
        # One copy is as good as another, since each is compared with its hash before it is used.
        left = [str(other) for other, *_ in others] + ["train/ and test/"] * has_tree
        if left:
            report(f"Reading {taken}; also there, not read: {', '.join(left)}")
        return Dataset(*read(taken, edition), CIFAR10_CLASSES, source)
    if has_tree:
        *arrays, formats = read_image_tree(path, CIFAR10_CLASSES, report)
        source = f"CIFAR-10, image folder ({' and '.join(sorted(formats))})"
        return Dataset(*arrays, CIFAR10_CLASSES, source)
    content = sorted(path.iterdir())
    inner = [p for p in content if _find_official(p) or (p / "train").is_dir()]
    raise ValueError(
        f"The folder {path} holds no CIFAR-10 (first in it: {[p.name for p in content[:5]]}). "
        + (f"Give {inner[0]} if that is meant. " if inner else "")
        + f"Expected {_EXPECTED}."
    )


def _load_file(path):
    """CIFAR-10 from an archive of the user, whatever its name."""
    if any(path.name == name for edition in (PYTHON, BINARY) for name, _ in edition.batches):
        raise ValueError(
            f"{path} is one batch of six. Give the folder that holds all: {path.parent}"
        )
    with path.open("rb") as file:
        kind = kind_of(file.read(300))
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
            return Dataset(*arrays, CIFAR10_CLASSES, _source_text(edition, "archive"))
    raise ValueError("\n".join(errors))


_EXPECTED = (
    f"{PYTHON.archive} or {BINARY.archive}, or {PYTHON.folder}/ with {PYTHON.batches[0][0]} and so "
    f"on, or {BINARY.folder}/ with {BINARY.batches[0][0]} and so on, or train/<class>/ and "
    f"test/<class>/ with the classes {', '.join(CIFAR10_CLASSES)}"
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
    """Every copy of the official files in `folder`: Python edition before binary, archives first.

    Returns:
        List of `(path, read, edition, source)`: `read(path, edition)` gives the four arrays.
    """
    found = []
    for edition, archives, folders in (
        (PYTHON, _KERAS_ARCHIVES, _KERAS_FOLDERS),
        (BINARY, (), ()),
    ):
        # Unlike pathlib, os.path takes a folder that may not be entered for one without files.
        for path in [folder / name for name in (*archives, edition.archive)]:
            if os.path.isfile(path):
                found.append((path, read_archive, edition, _source_text(edition, "archive")))
        for path in [folder / name for name in (*folders, edition.folder, ".")]:
            if any(os.path.isfile(path / name) for name, _ in edition.batches):
                found.append((path, read_batches, edition, _source_text(edition, "batches")))
    return found


def _source_text(edition, what):
    """The source of a `Dataset`; the Python edition needs no mention, since it is the usual one."""
    binary = "binary " if edition.name == "binary" else ""
    return f"CIFAR-10, official {binary}{what}"
