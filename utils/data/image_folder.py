"""Reads images from a tree of folders, `<split>/<class>/<image>`."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from utils.data.image_file import NoImageError, decode_image

# A file with such a name must be an image; of files with other names, those that are images count.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_SIZE = (32, 32)  # height, width


def read_image_tree(root, class_names, report=print):
    """Reads the images of `root/train/<class>/` and `root/test/<class>/`.

    Images are sorted by class, then by file name, so the result does not depend on the file
    system. What they are is decided by their content, see `utils.data.image_file.decode_image`.
    Whatever else lies there (other files, folders within folders, names that begin with a dot) is
    passed over, and counted in a line of `report`.

    Args:
        root: `pathlib.Path` of the folder.
        class_names: Sequence of the expected folder names; label `i` is `class_names[i]`.
        report: Function that takes one line of text.

    Returns:
        `(x_train, y_train, x_test, y_test, formats)`: uint8 `(N, 32, 32, 3)` RGB, int64 `(N,)`,
        and the set of the formats found, such as `"JPEG"` and `"PNG"`.

    Raises:
        ValueError: If the folders are not exactly the expected ones, if one of them holds no
            image, or if a file named like an image is not a sound one of 32x32 pixels.
        OSError: If a file cannot be read.
    """
    splits = [root / split for split in ("train", "test")]
    folders = [folder for split in splits for folder in _class_folders(split, class_names)]
    # Pillow decodes outside Python's lock, so threads help.
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(_read_class, folders))
    passed_over = [
        path
        for parent in (root, *splits)
        for path in sorted(parent.iterdir())
        if path not in splits and path not in folders
    ]
    passed_over += [path for _, _, others in read for path in others]
    if passed_over:
        names = [path.relative_to(root).as_posix() for path in passed_over]
        report(f"Passed over in {root}, not images of a class: {len(names)} ({_listing(names, 3)})")
    images = [images for images, _, _ in read]
    labels = [np.full(len(part), i % len(class_names)) for i, part in enumerate(images)]
    n = len(class_names)
    return (
        np.concatenate(images[:n]),
        np.concatenate(labels[:n]).astype(np.int64),
        np.concatenate(images[n:]),
        np.concatenate(labels[n:]).astype(np.int64),
        set().union(*(formats for _, formats, _ in read)),
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
    """Names for a message, at most `limit` of them."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "") or "none"


def _read_class(folder):
    """Reads the images of one class, sorted by name; at least one.

    Returns:
        `(images, formats, others)`: uint8 `(N, 32, 32, 3)`, the set of their formats, and the
        paths of what is no image.
    """
    images, formats, others = [], set(), []
    for path in sorted(folder.iterdir()):
        named_image = path.suffix.lower() in SUFFIXES
        # A link that leads nowhere, named like an image, is read below: that raises.
        if path.name.startswith(".") or not (path.is_file() or named_image):
            others.append(path)
            continue
        try:
            image = decode_image(path.read_bytes(), path)
        except NoImageError:
            if named_image:
                raise
            others.append(path)
            continue
        height, width = image.pixels.shape[:2]
        if (height, width) != _SIZE:
            raise ValueError(
                f"{path} has {width}x{height} pixels, expected 32x32. Resize or remove it."
            )
        images.append(image.pixels)
        formats.add(image.format)
    if not images:
        raise ValueError(
            f"{folder} holds no image, expected at least one. Add images of 32x32 pixels."
        )
    return np.stack(images), formats, others
