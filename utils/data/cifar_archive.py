"""Reads the official CIFAR-10 files (Krizhevsky 2009), trusting nothing that they contain.

They are published in two editions with the same images in the same order. The Python edition holds
pickles, and unpickling runs whatever code a pickle asks for: so every file is compared with its
known hash first, and the unpickler then builds nothing but arrays, lists, dictionaries, numbers,
bytes and text. The binary edition holds plain bytes, which nothing has to unpickle.
"""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MOST_BYTES = 40_000_000  # of a batch in an archive; the published ones have 31 million
ROW = 3072  # bytes of an image: its red, then its green, then its blue plane


class Edition(NamedTuple):
    """What is known about one edition of the published files (tests put small fakes in its place).

    Attributes:
        name: `"Python"` or `"binary"`.
        archive: Name of the archive.
        folder: The only folder in the archive, which holds the batches.
        url: Address of the archive.
        sha256: SHA-256 of the archive, in hexadecimal.
        algorithm: What the hashes of the batches are: `"md5"` or `"sha256"`.
        batches: Name and hash of each batch; the last one is the test set.
        size: Bytes of the archive where it is downloaded, else None.
    """

    name: str
    archive: str
    folder: str
    url: str
    sha256: str
    algorithm: str
    batches: tuple
    size: int | None = None


PYTHON = Edition(
    name="Python",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    # As in torchvision's datasets/cifar.py. MD5 suffices here: nobody can make another file with
    # the MD5 of a given one.
    algorithm="md5",
    batches=(
        ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
        ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        ("data_batch_4", "634d18415352ddfa80567beed471001a"),
        ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        ("test_batch", "40351d587109b95175f43aff81a1287e"),
    ),
    size=170_498_071,
)
BINARY = Edition(
    name="binary",
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    algorithm="sha256",
    batches=(
        ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ),
)

# Of all 50,000 + 10,000 images, from either edition: `utils.data.dataset.Dataset.content_hash`.
CONTENT_HASH = "aa654a69adc0edc370f2c593f5d218bb57042a815f5def67e41dfa4794f2c343"
IMAGES = (50_000, 10_000)


def source_text(edition, what):
    """The source of a data set from official files, as reports and records call it.

    Args:
        edition: `Edition`; the Python one needs no mention, since it is the usual one.
        what: str, `"archive"` or `"batches"`.

    Returns:
        str, without any path.
    """
    binary = "binary " if edition.name == "binary" else ""
    return f"CIFAR-10, official {binary}{what}"


SOURCES = tuple(
    source_text(one, what) for one in (PYTHON, BINARY) for what in ("archive", "batches")
)


def read_archive(path, edition):
    """Reads the images and labels of an official archive, without unpacking it on disk.

    Args:
        path: of the archive, a str or a `pathlib.Path`, whatever its name.
        edition: `Edition` that it must be.

    Returns:
        `(x_train, y_train, x_test, y_test)`: uint8 `(N, 32, 32, 3)` RGB and int64 `(N,)`.

    Raises:
        ValueError: If the archive is not the official one.
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:  # kept open, so that what was hashed is what is read
        size, digest = _size_and_sha256(file)
        if digest != edition.sha256:
            raise ValueError(
                f"{path} is not the official CIFAR-10 archive ({edition.name} edition): its "
                f"{size:,} bytes have the SHA-256 {digest}, expected {edition.sha256}. "
                f"A whole copy comes from {edition.url}."
            )
        file.seek(0)
        wanted = {f"{edition.folder}/{name}": name for name, _ in edition.batches}
        content, before = {}, -1
        try:
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                for member in archive:  # links and folders hold nothing, nothing is looked up there
                    if member.offset <= before:  # then tarfile turns for ever: CVE-2025-8194
                        raise tarfile.ReadError("a member of negative size leads back")
                    before = member.offset
                    if member.name in wanted and member.isreg() and member.size <= _MOST_BYTES:
                        content[wanted[member.name]] = archive.extractfile(member).read()
        except Exception as error:  # a damaged archive can raise nearly anything
            if isinstance(error, OSError) and error.errno is not None:  # the disk's, not gzip's own
                raise
            raise ValueError(
                f"{path} is damaged behind its hash ({error!r}). Get it again from {edition.url}."
            ) from error
    missing = [name for name in wanted.values() if name not in content]
    if missing:
        raise ValueError(
            f"{path} holds no ordinary file {edition.folder}/{missing[0]} of at most "
            f"{_MOST_BYTES:,} bytes. Get it again from {edition.url}."
        )
    return _join([_read_batch(content[name], name, edition) for name, _ in edition.batches])


def read_batches(folder, edition):
    """Reads the images and labels of an unpacked archive.

    Args:
        folder: path of the folder that holds the batches, a str or a `pathlib.Path`.
        edition: `Edition` that they must be.

    Returns:
        As `read_archive`.

    Raises:
        ValueError: If a file is missing or is not the official one.
        OSError: If a file cannot be read.
    """
    folder, kind = Path(folder), edition.algorithm.upper().replace("SHA", "SHA-")
    missing = [
        f"{name} ({kind} {expected})"
        for name, expected in edition.batches
        if not (folder / name).is_file()
    ]
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the {len(edition.batches)} CIFAR-10 batches "
            f"({edition.name} edition): {', '.join(missing)}. They are in {edition.url}."
        )
    parts = []
    for name, expected in edition.batches:
        content = (folder / name).read_bytes()
        digest = hashlib.new(edition.algorithm, content, usedforsecurity=False).hexdigest()
        if digest != expected:
            raise ValueError(
                f"{folder / name} is not the official CIFAR-10 batch ({edition.name} edition): its "
                f"{len(content):,} bytes have the {kind} {digest}, expected {expected}. "
                f"A whole copy is in {edition.url}."
            )
        parts.append(_read_batch(content, name, edition))
    return _join(parts)


def _size_and_sha256(file):
    """Number of bytes of an open binary file and their SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return file.tell(), digest.hexdigest()


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


def _read_batch(content, name, edition):
    """Reads one batch of either edition.

    Args:
        content: bytes of the file. Python edition: a pickle of `{b"data": uint8 (n, 3072),
            b"labels": list}`. Binary edition: n records of a label byte and 3,072 pixel bytes.
        name: Name of the batch, for errors.
        edition: The `Edition` that it belongs to.

    Returns:
        `(images, labels)`: uint8 `(n, 32, 32, 3)` RGB and int64 `(n,)`.

    Raises:
        ValueError: If the content is anything else.
    """
    try:
        if edition.name == "binary":
            records = np.frombuffer(content, np.uint8).reshape(-1, 1 + ROW)
            labels, data = records[:, 0].astype(np.int64), records[:, 1:]
        else:
            # Python 2 wrote the files: its `str` is read as bytes.
            batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
            data, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(
            f"{name} is not a CIFAR-10 batch ({error!r}). Unpack the official archive again."
        ) from error
    if data.dtype != np.uint8 or data.shape != (len(labels), ROW):
        raise ValueError(
            f"{name} holds {data.dtype} data of shape {data.shape} with {len(labels)} labels, "
            f"expected uint8 ({len(labels)}, {ROW}). Unpack the official archive again."
        )
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _join(parts):
    """Joins the batches; the last one is the test set."""
    images, labels = zip(*parts)
    x_train, x_test = np.concatenate(images[:-1]), np.ascontiguousarray(images[-1])
    return np.ascontiguousarray(x_train), np.concatenate(labels[:-1]), x_test, labels[-1]
