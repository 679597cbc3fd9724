"""Real files to begin with: of every format that is read, small and in several variants."""

import gzip
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from utils.data.cifar_archive import BINARY, PYTHON

ROOT = Path(__file__).resolve().parent.parent
PER_BATCH = 2  # images in each batch of a fake archive


def images():
    """Dict of suffix to file contents: noise of 32x32 pixels in the formats a student may have."""
    rng, found = np.random.default_rng(0), {}
    noise = rng.integers(0, 256, (32, 32, 4), dtype="uint8")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    for suffix, variants in {
        ".png": (
            {"mode": "RGB"},
            {"mode": "RGBA"},
            {"mode": "L"},
            {"mode": "P"},
            {"mode": "RGB", "exif": exif, "dpi": (72, 72)},
        ),
        ".jpg": (
            {"mode": "RGB"},
            {"mode": "L", "quality": 20},
            {"mode": "RGB", "progressive": True, "exif": exif},
            {"mode": "CMYK"},
        ),
        ".webp": ({"mode": "RGB"}, {"mode": "RGBA", "lossless": True}),
        ".gif": ({"mode": "P"},),
        ".tif": ({"mode": "RGB"}, {"mode": "L", "compression": "tiff_lzw"}),
        ".bmp": ({"mode": "RGB"}, {"mode": "P"}),
    }.items():
        for variant in variants:
            options = dict(variant)
            buffer = io.BytesIO()
            image = Image.fromarray(noise).convert("RGB").convert(options.pop("mode"))
            image.save(buffer, Image.registered_extensions()[suffix], **options)
            found.setdefault(suffix, []).append(buffer.getvalue())
    return found


def editions():
    """What is known about each published edition of CIFAR-10, by name."""
    return {"python": PYTHON, "binary": BINARY}


def batches(edition):
    """Dict of name to content of the batches of an edition, with a few images each."""
    rng, found = np.random.default_rng(0), {}
    for name, _ in edition.batches:
        rows = rng.integers(0, 256, (PER_BATCH, 3072), dtype="uint8")
        labels = rng.integers(0, 10, PER_BATCH)
        if name.endswith(".bin"):
            found[name] = b"".join(
                bytes([label]) + row.tobytes() for label, row in zip(labels, rows)
            )
        else:
            batch = {b"data": rows, b"labels": labels.tolist()}
            found[name] = pickle.dumps(batch, protocol=4)
    return found


# What climbs out of an archive that is simply unpacked: the guard lets the temporary folder be
# written, so these are looked for.
OUTSIDE = ("../../climbed-out", "/tmp/climbed-out")


def tars(contents, folder):
    """Tar archives of some batches, with what may climb out of one: a list of bytes.

    The two formats write a name that is too long for a header in headers of their own.
    """
    found, long = [], f"{folder}/{'long/' * 30}name"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
            for name, content in {**dict.fromkeys((long, *OUTSIDE), b"x"), **contents}.items():
                info = tarfile.TarInfo(name if "/" in name else f"{folder}/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        found.append(buffer.getvalue())
    return found


def packed(tar):
    """A changed tar archive as tar.gz, with right checksums of headers and of the whole."""
    new = bytearray(tar)
    for start in range(0, len(new) - 511, 512):
        header = new[start : start + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8  # as which the checksum itself counts
            new[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return gzip.compress(new, 1, mtime=0)


def arrays():
    """Contents of NumPy archives: two sound ones, one with an object array, a bomb."""
    found = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **{"conv/kernel": np.ones((3, 3), "float32"), "conv/bias": np.arange(3)})
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, evil=np.array([print], dtype=object))
    found.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr(
            "a.npy",
            b"\x93NUMPY\x01\x00F\x00{'descr': '<f8', 'fortran_order': False, "
            b"'shape': (10000000000,), }".ljust(80)
            + b"\n"
            + bytes(100_000),
        )
    found.append(buffer.getvalue())
    return found


def notebooks():
    """Contents of notebook files."""
    code = {"cell_type": "code", "metadata": {}, "source": ["import os\n", "os.abort()"]}
    code |= {"execution_count": None, "outputs": [], "id": "a"}
    text = {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n"], "id": "b"}
    small = {"cells": [text, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    old = {"worksheets": [{"cells": [text]}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}
    return [json.dumps(one, indent=1).encode() for one in (small, old)]


def fault_records():
    """Contents of a record of `make faults` and of one of `make mutants`."""
    fault = {"group": "disk", "fault": "full", "tries": 3, "survived": 3, "seconds": 1.5}
    fault |= {"note": "", "failures": []}
    faults = {"faults": [fault], "device": "CPU", "versions": {"keras": "3.15.1"}}
    modules = [{"module": "a", "mutants": 9, "tried": 2, "noticed": 1}]
    survivors = [{"module": "a", "change": ["- 1", "+ 2"], "answer": ""}]
    mutants = {"tool": "mutmut", "seed": 0, "modules": modules, "survivors": survivors}
    common = {"seconds": 60.0, "git_commit": "0123456789abcdef"}
    return [json.dumps(one | common, indent=1).encode() for one in (faults, mutants)]


def copy_record(folder):
    """A sound record, without its weights and figures; returns its folder."""
    target = folder / "shapes-resnet20v2"
    target.mkdir()
    for name in ("run.json", "history.csv"):
        shutil.copy(ROOT / "runs" / target.name / name, target)
    return target
