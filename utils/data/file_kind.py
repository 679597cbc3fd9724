"""What a file is by its first bytes, for errors that tell a user what was given instead."""

# Position of the signature, signature (compared in lower case), and what such a file is.
_SIGNATURES = (
    (0, b"\x89png", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"gif8", "a GIF image"),
    (8, b"webp", "a WebP image"),
    (0, b"ii*\0", "a TIFF image"),
    (0, b"mm\0*", "a TIFF image"),
    (4, b"ftyp", "a HEIC photo or a film"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file, perhaps an SVG drawing"),
    (0, b"%pdf", "a PDF document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS"),
    (0, b"pk\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"bzh", "a bzip2 archive"),
    (0, b"\xfd7zxz", "an xz archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
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
    start = content[:300].lower()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")  # a text may begin with a mark and blanks
    for position, signature, kind in _SIGNATURES:
        if start.startswith(signature, position) or (
            signature.startswith(b"<") and text.startswith(signature)
        ):
            return kind
    return f"a file of another kind (it begins with {bytes(content[:12])!r})"
