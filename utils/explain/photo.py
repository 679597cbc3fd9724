"""A photo of your own: read any ordinary image and cut it down to what the network takes.

OpenCV reduces it with area averaging, so that fine texture does not alias.
"""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import cv2

from utils.data.download import fetch
from utils.data.file_kind import kind_at
from utils.data.image_file import MAX_BYTES, MAX_PIXELS, decode_image, quiet_pillow, read_image
from utils.data.lookup import find_path, hints
from utils.location import clean_location, is_address, shown


def load_photo(
    path,
    *,
    size=32,
    max_side=1600,
    max_pixels=MAX_PIXELS,
    max_bytes=MAX_BYTES,
    report=print,
):
    """Reads a photo, whole and as the network sees it.

    The small image is the center square of the photo (never squashed), averaged down. How the file
    is read: `utils.data.image_file.decode_image`.

    Args:
        path: str or Path of a JPEG, PNG, WebP, TIFF, BMP or GIF file, or its address on the web,
            http:// or https://; nothing else is followed, and no more than a minute. How it may be
            typed: `utils.location.clean_location` and `utils.data.lookup.find_path`.
        size: int >= 1, side of the small image in pixels.
        max_side: int >= 1, the photo is returned with at most as many pixels a side: more than a
            page shows, and little memory for what is drawn on it.
        max_pixels: int, photos with more pixels (width x height) are refused undecoded.
        max_bytes: int, larger files are refused, or given up while they arrive.
        report: Function that takes one line of text: that there are frames after the first.

    Returns:
        A pair: the photo, uint8 RGB (H, W, 3), averaged down if it is larger than `max_side`, and
        the small image, uint8 RGB (size, size, 3), made of the whole photo.

    Raises:
        FileNotFoundError: when there is no such file; what is nearly it is named.
        OSError: when the address gives no file in time.
        ValueError: when it is too large, no image, damaged or of an unsupported kind.
    """
    for name, value in (("size", size), ("max_side", max_side)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be an int >= 1, got {value!r}.")
    location = clean_location(path)
    if is_address(location):
        content = fetch(location, max_bytes=max_bytes)
        name = unquote(PurePosixPath(urlsplit(location).path).name) or urlsplit(location).hostname
        with quiet_pillow():
            image = decode_image(content, name, max_pixels=max_pixels)
    else:
        path = _find_photo(location)
        name = path.name
        with quiet_pillow():
            image = read_image(path, name, max_pixels=max_pixels, max_bytes=max_bytes)
    if image.more:
        report(f"{name} has several frames or pages; this is the first.")
    full = image.pixels
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


def _find_photo(location):
    """`pathlib.Path` of the file at a cleaned location."""
    if not location:
        raise FileNotFoundError("No photo is named. Give the path or the web address of one.")
    path = find_path(location)
    if path is None:
        raise FileNotFoundError(
            f"There is no photo {shown(str(Path(location).absolute()), limit=300)}. "
            f"{hints(location)}Check the path; give a file elsewhere by its full path, and a web "
            "address with its https://."
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path.absolute()} is {kind_at(path)}, no photo. Give the path of a photo file."
        )
    return path
