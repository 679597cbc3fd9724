"""A photo of your own: read any ordinary image and cut it down to what the network takes.

Pillow reads the file, because it tells the size before it decodes a single pixel (a bomb of a file
costs no memory) and turns the photo upright by its EXIF tag even when it has an alpha channel;
OpenCV reduces it with area averaging, so that fine texture does not alias.
"""

import contextlib
import io
import warnings
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import cv2
import numpy as np
from PIL import Image, ImageOps

from utils.data.download import fetch

MAX_PIXELS = 50_000_000  # larger than the sensors of common cameras; 150 MB as RGB
MAX_BYTES = 30_000_000


def load_photo(path, *, size=32, max_side=1600, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES):
    """Reads a photo, whole and as the network sees it.

    The EXIF orientation is applied, gray becomes RGB, transparency is laid on white, 16-bit gray
    is scaled to 8 bits. The small image is the center square of the photo (never squashed),
    averaged down.

    Args:
        path: str or Path of a JPEG, PNG, WebP, TIFF, BMP or GIF (first frame) file, or its address
            on the web, http:// or https://; nothing else is followed, and no more than a minute.
        size: int >= 1, side of the small image in pixels.
        max_side: int >= 1, the photo is returned with at most as many pixels a side: more than a
            page shows, and little memory for what is drawn on it.
        max_pixels: int, photos with more pixels (width x height) are refused undecoded.
        max_bytes: int, larger files are refused unread, or given up while they arrive.

    Returns:
        A pair: the photo, uint8 RGB (H, W, 3), averaged down if it is larger than `max_side`, and
        the small image, uint8 RGB (size, size, 3), made of the whole photo.

    Raises:
        FileNotFoundError: when there is no such file.
        OSError: when the address gives no file in time.
        ValueError: when it is too large, no image, damaged or of an unsupported kind.
    """
    for name, value in (("size", size), ("max_side", max_side)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an int >= 1, got {value!r}.")
    if isinstance(path, str) and "://" in path:
        source = io.BytesIO(fetch(path, max_bytes=max_bytes))
        name = PurePosixPath(urlsplit(path).path).name or path
    else:
        source, name = Path(path), Path(path).name
        _check_file(source, max_bytes)
    full = _decode(source, name, max_pixels)
    top, left, side = center_square(full)
    square = full[top : top + side, left : left + side]
    interpolation = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    small = cv2.resize(square, (size, size), interpolation=interpolation)
    scale = max_side / max(full.shape[:2])
    if scale < 1:
        shape = [max(1, round(scale * pixels)) for pixels in full.shape[1::-1]]
        full = cv2.resize(full, shape, interpolation=cv2.INTER_AREA)
    return full, small


def center_square(image):
    """The largest centered square: `image[top:top + side, left:left + side]` cuts it out.

    Args:
        image: array (H, W) or (H, W, channels).

    Returns:
        (top, left, side), ints, in pixels.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side


def _check_file(path, max_bytes):
    if not path.is_file():
        raise FileNotFoundError(f"There is no photo {str(path)!r}. Check the path.")
    file_bytes = path.stat().st_size
    if file_bytes > max_bytes:
        raise ValueError(
            f"{path.name} has {file_bytes / 1e6:.1f} MB, the limit is {max_bytes / 1e6:.1f} MB. "
            "Save it smaller or as JPEG."
        )


def _decode(source, name, max_pixels):
    """Path or binary file -> uint8 RGB (H, W, 3), upright."""
    with warnings.catch_warnings():
        # Pillow warns of many pixels and odd metadata; our own limit is the stricter one.
        warnings.simplefilter("ignore")
        with _unreadable(name):
            photo = Image.open(source)  # reads the header only
        with photo:
            width, height = photo.size
            if width * height > max_pixels:
                raise ValueError(
                    f"{name} has {width} x {height} = {width * height / 1e6:.1f} million "
                    f"pixels, the limit is {max_pixels / 1e6:.1f} million. Save it smaller."
                )
            if photo.mode == "F":
                raise ValueError(
                    f"{name} has floating-point pixels, which have no fixed range. Save it as PNG."
                )
            with _unreadable(name):
                return _to_rgb(ImageOps.exif_transpose(photo))


@contextlib.contextmanager
def _unreadable(name):
    """Turns whatever Pillow raises into one clear error; for damaged files it may be anything."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has too many pixels: {error} Save it smaller.") from error
    except Exception as error:
        raise ValueError(
            f"{name} cannot be read as an image: it is damaged or of an unsupported kind "
            f"({error}). Save it as JPEG or PNG; HEIC photos of phones must be converted."
        ) from error


def _to_rgb(photo):
    """Pillow image of any mode -> uint8 RGB array."""
    if photo.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip it at 255
        gray = (np.asarray(photo).astype("float32") / 257).clip(0, 255)  # 65535 / 255 = 257
        return np.repeat(np.rint(gray).astype("uint8")[..., None], 3, axis=2)
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Image.new("RGBA", photo.size, "white")
        photo = Image.alpha_composite(white, photo)
    return np.array(photo.convert("RGB"))
