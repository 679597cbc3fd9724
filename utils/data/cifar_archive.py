"""Reads the official CIFAR-10 archive (Krizhevsky 2009), trusting nothing that it contains.

The images come as Python pickles, and unpickling runs whatever code a pickle asks for. So the
file is compared with its known hash first, and the unpickler then builds nothing but arrays,
lists, dictionaries, numbers, bytes and text.
"""

import hashlib
import io
import pickle
import tarfile
from typing import NamedTuple

import numpy as np

FOLDER = "cifar-10-batches-py"  # the only folder in the archive


class Official(NamedTuple):
    """What is known about the published files (tests put small fakes in its place)."""

    url: str = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    size: int = 170_498_071  # bytes
    sha256: str = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    # Name and MD5 of each batch, as in torchvision's datasets/cifar.py; the last one is the test
    # set. MD5 suffices here: nobody can make another file with the MD5 of a given one.
    batches: tuple = (
        ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
        ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        ("data_batch_4", "634d18415352ddfa80567beed471001a"),
        ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        ("test_batch", "40351d587109b95175f43aff81a1287e"),
    )


OFFICIAL = Official()


def read_archive(path, official=OFFICIAL):
    """Reads the images and labels of `cifar-10-python.tar.gz`, without unpacking it on disk.

    Args:
        path: `pathlib.Path` of the archive, whatever its name.
        official: What the archive must be.

    Returns:
        `(x_train, y_train, x_test, y_test)`: uint8 `(N, 32, 32, 3)` RGB and int64 `(N,)`.

    Raises:
        ValueError: If the archive is not the official one.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        digest = _hexdigest(file, "sha256")
        if digest != official.sha256:
            raise ValueError(
                f"{path} is not the official CIFAR-10 archive: its SHA-256 is {digest}, expected "
                f"{official.sha256}. Delete it and download {official.url} again."
            )
        file.seek(0)
        wanted = {f"{FOLDER}/{name}": name for name, _ in official.batches}
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            content = {
                wanted[member.name]: archive.extractfile(member).read()
                for member in archive
                if member.name in wanted
            }
    return _join([_read_batch(content[name], name) for name, _ in official.batches])


def read_batches(folder, official=OFFICIAL):
    """Reads the images and labels of the unpacked archive.

    Args:
        folder: `pathlib.Path` of the folder that holds `data_batch_1` and so on.
        official: What the files must be.

    Returns:
        As `read_archive`.

    Raises:
        ValueError: If a file is missing or is not the official one.
        OSError: If a file cannot be read.
    """
    missing = [name for name, _ in official.batches if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)} of the CIFAR-10 batches. "
            f"Unpack {official.url} again."
        )
    parts = []
    for name, md5 in official.batches:
        content = (folder / name).read_bytes()
        digest = _hexdigest(io.BytesIO(content), "md5")
        if digest != md5:
            raise ValueError(
                f"{folder / name} is not the official CIFAR-10 batch: its MD5 is {digest}, "
                f"expected {md5}. Unpack {official.url} again."
            )
        parts.append(_read_batch(content, name))
    return _join(parts)


def _hexdigest(file, algorithm):
    """The hash of an open binary file from its present position, in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


# NumPy's own "make an empty array to be filled"; its module was renamed in NumPy 2.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays and Python's plain types, and refuses everything else."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a batch")
        return _ALLOWED[module, name]


def _read_batch(content, name):
    """Reads one batch.

    Args:
        content: bytes of the file, a pickle of `{b"data": uint8 (n, 3072), b"labels": list}`.
        name: Name of the batch, for errors.

    Returns:
        `(images, labels)`: uint8 `(n, 32, 32, 3)` RGB and int64 `(n,)`.

    Raises:
        ValueError: If the content is anything else.
    """
    try:
        # Python 2 wrote the files: its `str` is read as bytes.
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        data, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(
            f"{name} is not a CIFAR-10 batch ({error!r}). Unpack the official archive again."
        ) from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3072):
        raise ValueError(
            f"{name} holds {data.dtype} data of shape {data.shape} with {len(labels)} labels, "
            f"expected uint8 ({len(labels)}, 3072). Unpack the official archive again."
        )
    # Each row holds the red, then the green, then the blue plane.
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _join(parts):
    """Joins the batches; the last one is the test set."""
    images, labels = zip(*parts)
    x_train, x_test = np.concatenate(images[:-1]), np.ascontiguousarray(images[-1])
    return np.ascontiguousarray(x_train), np.concatenate(labels[:-1]), x_test, labels[-1]
