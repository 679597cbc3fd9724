"""What a file is, for errors that tell a user what was given instead of what is wanted."""

import os
import stat

# Position of the signature, signature (compared in lower case), and what such a file is.
_SIGNATURES = (
    (0, b"\x89png", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"gif8", "a GIF image"),
    (8, b"webp", "a WebP image"),
    (0, b"ii*\0", "a TIFF image"),
    (0, b"mm\0*", "a TIFF image"),
    (4, b"ftypavi", "an AVIF image"),
    (4, b"ftyphei", "a HEIC photo, as iPhones take them"),
    (4, b"ftyphev", "a HEIC photo, as iPhones take them"),
    (4, b"ftypmif1", "a HEIC photo, as iPhones take them"),
    (4, b"ftypmsf1", "a HEIC photo, as iPhones take them"),
    (4, b"ftypcrx", "a raw photo of a camera"),
    (4, b"ftyp", "a film"),
    (0, b"\0\0\0\x0cjxl ", "a JPEG XL photo"),
    (0, b"\xff\x0a", "a JPEG XL photo"),
    (0, b"8bps", "a Photoshop file"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file, perhaps an SVG drawing"),
    (0, b"%!ps", "a PostScript file"),
    (0, b"%pdf", "a PDF document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS"),
    (0, b"pk\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"bzh", "a bzip2 archive"),
    (0, b"\xfd7zxz", "an xz archive"),
    (0, b"(\xb5/\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"par1", "a Parquet table"),
    (0, b"\x93numpy", "a NumPy array"),
    (0, b"\x89hdf", "an HDF5 file"),
)
OTHER = "a file of another kind"  # how the answer begins where nothing is known
_START = 300  # bytes that tell
_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(content):
    """Names the kind of a file.

    Args:
        content: bytes, the first 300 or more.

    Returns:
        str with its article, such as `"a ZIP archive"`.
    """
    if not content:
        return "an empty file"
    start = content[:_START].lower()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")  # a text may begin with a mark and blanks
    for position, signature, kind in _SIGNATURES:
        if start.startswith(signature, position) or (
            signature.startswith(b"<") and text.startswith(signature)
        ):
            is_npz = kind == "a ZIP archive" and b".npy" in start
            return "an archive of NumPy arrays" if is_npz else kind
    return f"{OTHER} (it begins with {bytes(content[:12])!r})"


def kind_at(path):
    """Names what lies at a path; reads nothing that could hold a reader up, such as a pipe.

    Args:
        path: `pathlib.Path`.

    Returns:
        str as from `kind_of`, or `"a folder"`, `"a pipe"`, `"a socket"`, `"a device"`, `"a link to
        ..., which is not there"`, `"an unreadable file"`.
    """
    try:
        mode = path.stat().st_mode
        for test, kind in _SPECIAL:
            if test(mode):
                return kind
        with path.open("rb") as file:
            return kind_of(file.read(_START))
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            return f"a link to {os.readlink(path)}, which is not there"
        return f"an unreadable file ({error.strerror})"
