"""A photo of your own: read any ordinary image and cut it down to what the network takes.

OpenCV reduces it with area averaging, so that fine texture does not alias.
"""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import cv2

from utils.data.download import fetch
from utils.data.image_file import MAX_PIXELS, decode_image
from utils.data.location import clean_location, is_address, shown

MAX_BYTES = 30_000_000


def load_photo(path, *, size=32, max_side=1600, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES):
    """Reads a photo, whole and as the network sees it.

    The small image is the center square of the photo (never squashed), averaged down. How the file
    is read: `utils.data.image_file.decode_image`.

    Args:
        path: str or Path of a JPEG, PNG, WebP, TIFF, BMP or GIF (first frame) file, or its address
            on the web, http:// or https://; nothing else is followed, and no more than a minute.
            Blanks and quotation marks around it are dropped.
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
    location = clean_location(path)
    if is_address(location):
        content = fetch(location, max_bytes=max_bytes)
        name = unquote(PurePosixPath(urlsplit(location).path).name) or location
    else:
        content, name = _read_file(location, max_bytes), Path(location).name
    full = decode_image(content, name, max_pixels=max_pixels).pixels
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


def _read_file(location, max_bytes):
    """The content of the file at a cleaned path: bytes."""
    if not location:
        raise FileNotFoundError("No photo is named. Give the path or the web address of one.")
    path = Path(location)
    # Unlike pathlib, os.path takes a name that is too long for one that does not exist.
    if os.path.isdir(path):
        raise FileNotFoundError(f"{path.absolute()} is a folder. Give the path of a photo in it.")
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"There is no photo {shown(str(path.absolute()), limit=300)}. Check the path; give a "
            "file elsewhere by its full path, and a web address with its https://."
        )
    file_bytes = path.stat().st_size
    if file_bytes > max_bytes:
        raise ValueError(
            f"{path.name} has {file_bytes / 1e6:.1f} MB, the limit is {max_bytes / 1e6:.1f} MB. "
            "Save it smaller or as JPEG."
        )
    return path.read_bytes()
