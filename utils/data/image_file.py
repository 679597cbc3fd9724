"""The one reader of image files, for image trees and photos: it goes by the content of a file.

Pillow reads, because it tells the size before it decodes a single pixel (a bomb of a file costs no
memory), and what a JPEG or PNG says of its orientation, also when there is an alpha channel.
"""

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from utils.data.file_kind import kind_at, kind_of

MAX_PIXELS = 50_000_000  # larger than the sensors of common cameras; 150 MB as RGB
MAX_BYTES = 30_000_000

# Pillow has more decoders, for rare formats; the one of PostScript starts another program.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF")
_FORMATS += ("AVIF", "JPEG2000", "ICO", "PPM", "TGA")
_BITS_PER_SAMPLE = 258  # number of that entry in a TIFF

_EXPORT = "Open it where it was taken, and export or share it as JPEG."
_REMEDIES = {
    "a HEIC photo, as iPhones take them": f"{_EXPORT} On the iPhone: Settings, Camera, Formats, "
    "Most Compatible takes JPEG from now on.",
    "a JPEG XL photo": _EXPORT,
    "an AVIF image": _EXPORT,
    "a film": "Save one frame of it as JPEG or PNG.",
    "a web page": "Give the address of the image itself, or save the image and give its path.",
    "a pointer of Git LFS": "Fetch the file itself: git lfs pull.",
    "an empty file": "Get it again.",
}


class NoImageError(ValueError):
    """The content is that of no image at all, not of a damaged one."""


class ImageFile(NamedTuple):
    """An image and the format that its file really has.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, 0..255.
        format: Pillow's name of the format, such as `"JPEG"` or `"PNG"`.
        more: bool, whether there are frames or pages behind the first, whose pixels these are.
    """

    pixels: np.ndarray
    format: str
    more: bool


@contextlib.contextmanager
def quiet_pillow():
    """Without Pillow's warnings of many pixels and odd metadata; our own limit is the stricter one.

    To be entered before images are read, once and not in several threads: Python before 3.14 has
    one set of warning filters for all of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_image(path, name, *, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES):
    """Reads an image file, as `decode_image`.

    Args:
        path: of the file, a str or a `pathlib.Path`.
        name: Name of the file, for errors.
        max_pixels: as of `decode_image`.
        max_bytes: int, a larger file is refused; of an endless one no more is read.

    Returns:
        `ImageFile`.

    Raises:
        NoImageError: If no ordinary file is there (a pipe is not waited for), or no image in it.
        ValueError: If the file is too large, and as `decode_image`.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise NoImageError(f"{name} is no image, but {kind_at(path)}. Give a JPEG or PNG file.")
    size = path.stat().st_size
    with path.open("rb") as file:
        content = file.read(max_bytes + 1) if size <= max_bytes else b""
    size = max(size, len(content))
    if size > max_bytes:
        raise ValueError(
            f"{name} has {size / 1e6:.1f} MB, the limit is {max_bytes / 1e6:.1f} MB. "
            "Save it smaller or as JPEG."
        )
    return decode_image(content, name, max_pixels=max_pixels)


def decode_image(content, name, *, max_pixels=MAX_PIXELS):
    """Decodes the content of an image file; its name decides nothing.

    The EXIF orientation is applied; gray, palette and CMYK become RGB; transparency is laid on
    white; 16 bits a channel are scaled to 8; color profiles are left aside. Of several frames or
    pages the first is taken.

    Args:
        content: bytes of the file.
        name: Name of the file, for errors.
        max_pixels: int, an image with more pixels (width x height) is refused undecoded.

    Returns:
        `ImageFile`.

    Raises:
        NoImageError: If the content is no image of a supported format.
        ValueError: If the image is damaged, too large, or has floating-point or 32-bit pixels, or
            gray of 12 or of signed 16 bits.
    """
    with _unreadable(content, name):
        Image.init()  # some formats are not in every build of Pillow
        known = [name for name in _FORMATS if name in Image.OPEN]
        image = Image.open(io.BytesIO(content), formats=known)  # reads the header only
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise ValueError(
                f"{name} has {width} x {height} = {width * height / 1e6:.1f} million "
                f"pixels, the limit is {max_pixels / 1e6:.1f} million. Save it smaller."
            )
        with _unreadable(content, name):
            upright = ImageOps.exif_transpose(image)
        # Mode "I" is 32 or signed 16 bits in a TIFF, in other formats unsigned 16 bits. Of 12 bits
        # Pillow fills the lower ones of 16.
        tiff = image.format == "TIFF"
        odd = tiff and (upright.mode == "I" or 12 in image.tag_v2.get(_BITS_PER_SAMPLE, ()))
        if upright.mode == "F" or odd:
            raise ValueError(
                f"{name} has floating-point or 32-bit pixels, or signed or 12-bit gray, whose "
                "range is not that of plain 8 or 16 bits. Save it as PNG."
            )
        pixels = _to_rgb(upright)
        if image.format == "MPO":  # a JPEG to which a phone has added previews or depths
            return ImageFile(pixels, "JPEG", False)
        return ImageFile(pixels, image.format, _has_more_frames(image))


def _has_more_frames(image):
    """Whether there are frames behind the first; not how many, which may take a minute to count."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow may raise anything about what lies behind a sound first frame
        return True


@contextlib.contextmanager
def _unreadable(content, name):
    """Turns whatever Pillow raises into one clear error; for damaged files it may be anything."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has too many pixels: {error} Save it smaller.") from error
    except Exception as error:
        kind = kind_of(content)
        unknown = isinstance(error, Image.UnidentifiedImageError)
        if unknown and (kind in _REMEDIES or not kind.endswith("image")):
            remedy = _REMEDIES.get(kind, "Give a JPEG or PNG file.")
            raise NoImageError(f"{name} is no readable image, but {kind}. {remedy}") from error
        what = ", or of a rare kind" if unknown else f" ({error})"
        raise ValueError(
            f"{name} cannot be read as an image: it is damaged or not complete{what}. "
            "Get it again, or save it again as JPEG or PNG."
        ) from error


def _to_rgb(image):
    """Pillow image of any mode -> uint8 RGB array."""
    if image.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip it at 255
        gray = np.asarray(image).astype("float32") / 257  # 65535 / 255 = 257
        return np.repeat(np.rint(gray).astype("uint8")[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))
