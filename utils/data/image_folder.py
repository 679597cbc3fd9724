"""Reads images from a tree of folders, `<split>/<class>/<image>`."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg")
_SIZE = (32, 32)  # height, width


def read_image_tree(root, class_names):
    """Reads the images of `root/train/<class>/` and `root/test/<class>/`.

    Images are sorted by class, then by file name, so the result does not depend on the file
    system. Names that begin with a dot are passed over, and so are files of other types.

    Args:
        root: `pathlib.Path` of the folder.
        class_names: Sequence of the expected folder names; label `i` is `class_names[i]`.

    Returns:
        `(x_train, y_train, x_test, y_test, formats)`: uint8 `(N, 32, 32, 3)` RGB, int64 `(N,)`,
        and the set of the formats found, out of `"JPEG"` and `"PNG"`.

    Raises:
        ValueError: If the folders are not exactly the expected ones, if one of them holds no
            image, or if a file is no readable image of 32x32 pixels.
        OSError: If a file cannot be read.
    """
    folders = [
        folder
        for split in ("train", "test")
        for folder in _class_folders(root / split, class_names)
    ]
    files = [_image_files(folder) for folder in folders]
    # OpenCV decodes outside Python's lock, so threads help.
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_read_images, files))
    labels = [np.full(len(paths), i % len(class_names)) for i, paths in enumerate(files)]
    suffixes = {path.suffix.lower() for paths in files for path in paths}
    n = len(class_names)
    return (
        np.concatenate(images[:n]),
        np.concatenate(labels[:n]).astype(np.int64),
        np.concatenate(images[n:]),
        np.concatenate(labels[n:]).astype(np.int64),
        {"PNG" if suffix == ".png" else "JPEG" for suffix in suffixes},
    )


def _class_folders(folder, class_names):
    """The class folders inside `folder`, in the order of `class_names`."""
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder {folder}. An image tree needs train/<class>/ and test/<class>/."
        )
    found = {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
    if found != set(class_names):
        missing, extra = sorted(set(class_names) - found), sorted(found - set(class_names))
        raise ValueError(
            f"{folder} holds {len(found)} class folders, expected exactly these "
            f"{len(class_names)}: {', '.join(class_names)}. "
            f"Missing: {_listing(missing)}; not expected: {_listing(extra)}. "
            "Rename, add or remove folders."
        )
    return [folder / name for name in class_names]


def _listing(names, limit=10):
    """Names for an error message, at most `limit` of them."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "") or "none"


def _image_files(folder):
    """The image files of one class, sorted by name; at least one."""
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    )
    if not files:
        raise ValueError(
            f"{folder} holds no image, expected at least one. "
            f"Add files that end in {', '.join(SUFFIXES)}."
        )
    return files


def _read_images(paths):
    """Reads image files into one uint8 array `(N, 32, 32, 3)`, RGB."""
    images = np.empty((len(paths), *_SIZE, 3), np.uint8)
    for index, path in enumerate(paths):
        images[index] = _read_image(path)
    return images


def _read_image(path):
    """Reads one image: uint8 `(32, 32, 3)`, RGB."""
    content = path.read_bytes()
    image = None
    # OpenCV fills what a truncated JPEG lacks with gray, so its end marker must be there.
    if (path.suffix.lower() == ".png" and content) or b"\xff\xd9" in content:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(
            f"{path} is no readable image ({len(content)} bytes). Replace or remove it."
        )
    if image.shape[:2] != _SIZE:
        height, width = image.shape[:2]
        raise ValueError(
            f"{path} has {width}x{height} pixels, expected 32x32. Resize or remove it."
        )
    return image[..., ::-1]  # OpenCV decodes to BGR
