"""Small fakes of the official archives, in the very form of the published files."""

import hashlib
import io
import tarfile

import numpy as np

from utils.data.cifar_archive import BINARY, PYTHON

PER_BATCH = 4


def python2_pickle(data, labels):
    """A batch in the very form of the published files: protocol 2, written by Python 2.

    Written opcode by opcode, because Python 3 spells byte strings in another way.
    """

    def text(value):
        return b"U" + bytes([len(value)]) + value

    array = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\nK\x00\x85"
    array += text(b"b") + b"\x87R(K\x01"
    array += b"".join(b"M" + int(n).to_bytes(2, "little") for n in data.shape) + b"\x86"
    array += b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|")
    array += b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb\x89"
    array += b"T" + len(data.tobytes()).to_bytes(4, "little") + data.tobytes() + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"](" + text(b"a.png") * len(labels) + b"e"
    items = text(b"labels") + numbers + text(b"data") + array + text(b"filenames") + names
    return b"\x80\x02}(" + items + b"u."


def make_batches(edition=PYTHON):
    """`(contents, images, labels)` of six small batches, the same in both editions.

    The last batch is the test set.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, PER_BATCH, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, (6, PER_BATCH))
    rows = images.transpose(0, 1, 4, 2, 3).reshape(6, PER_BATCH, 3072)  # planes R, G, B
    contents = {}
    for i, (name, _) in enumerate(edition.batches):
        if edition.name == BINARY.name:
            pairs = zip(labels[i].tolist(), rows[i])
            contents[name] = b"".join(bytes([label]) + row.tobytes() for label, row in pairs)
        else:
            contents[name] = python2_pickle(rows[i], labels[i])
    return contents, images, labels


def write_fake(folder, contents, edition=PYTHON):
    """Writes archive and unpacked batches of an edition; returns what is now known about them."""
    batches = folder / edition.folder
    batches.mkdir(parents=True)
    path = folder / edition.archive
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"batches.meta": b"", **contents}.items():
            info = tarfile.TarInfo(f"{edition.folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            (batches / name).write_bytes(content)
    data = path.read_bytes()
    return edition._replace(
        url="http://127.0.0.1:9/fake",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        batches=tuple(
            (n, hashlib.new(edition.algorithm, c).hexdigest()) for n, c in contents.items()
        ),
    )
