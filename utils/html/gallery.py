"""The gallery of heatmaps as one HTML file: images, maps as bytes, and a script that draws them.

The script, `gallery.js`, enlarges and mixes as `utils.explain.overlay.overlay` does.
"""

import base64
import gzip
import io

import matplotlib
import numpy as np
from PIL import Image

from utils.explain.galleries import METHOD_NAMES
from utils.explain.map_sets import METHODS
from utils.html.template import fill_page

COLORMAP, OPACITY = "inferno", 60  # those of `overlay`; in percent
SHEET_COLUMNS = 32
NOTES = {
    "grad-cam": "Each channel of the layer counts as much as the mean of its gradient.",
    "hires-cam": "Gradient times activation, position by position. At the last activation of this "
    "network it is the map of Grad-CAM, since the gradient there is the same everywhere.",
    "layer-cam": "As HiResCAM, with the positive gradients only; made for early layers.",
    "grad-cam++": "As Grad-CAM, from positive gradients, weighted by their higher powers.",
    "eigen-cam": "The strongest pattern of the layer; it asks for no class and no gradient.",
}


def encode_layer(map_set, title):
    """What the page keeps of the maps at one layer.

    Args:
        map_set: `utils.explain.map_sets.MapSet`.
        title: str, names the layer for readers.

    Returns:
        Dict of plain values; nearly all of its bytes are those of the text `maps`.
    """
    _, rows, side, _ = map_set.maps.shape
    packed = gzip.compress(map_set.maps.tobytes(), 9, mtime=0)
    return {"title": title, "side": side, "rows": rows, "maps": _base64(packed)}


def gallery_data(images, positions, predictions, wanted, class_names):
    """What the script of the page reads, without `layers`: plain values, to become JSON.

    Args:
        images: uint8 (n, 32, 32, 3).
        positions: int (n,), of the images in the test set, counted from 0.
        predictions: `utils.training.evaluation.Predictions` of these images.
        wanted: `utils.explain.map_sets.Wanted` of these images.
        class_names: names of the classes.

    Returns:
        Dict, to which `layers` is added, a list from `encode_layer`.
    """
    classes = wanted.classes[wanted.rows]
    odds = np.take_along_axis(predictions.probabilities, classes, axis=1).round(4)
    columns = (positions, classes, odds, wanted.rows)
    names = ("position", "classes", "odds", "rows")
    return {
        "side": images.shape[1],
        "classes": list(class_names),
        "methods": [
            {"title": METHOD_NAMES[name], "note": NOTES[name], "asks_class": name != "eigen-cam"}
            for name in METHODS
        ],
        "images": [dict(zip(names, row)) for row in zip(*(one.tolist() for one in columns))],
        "sheet": "data:image/webp;base64," + _base64(_sheet(images)),
        "colors": _base64(_colors()),
        "opacity": OPACITY,
    }


def gallery_html(data, about):
    """The page.

    Args:
        data: dict of `gallery_data`, with `layers`.
        about: dict of sentences: `title`, `warning` (or ""), `choice`, `network`, `left_out`.

    Returns:
        The page as str; it requests nothing from any server.
    """
    return fill_page("gallery.html.jinja", data=data, about=about)


def _sheet(images):
    """All images side by side in rows, as lossless WebP: half the bytes of the pixels."""
    count, side = images.shape[:2]
    rows = -(-count // SHEET_COLUMNS)
    cells = np.zeros((rows * SHEET_COLUMNS, *images.shape[1:]), "uint8")
    cells[:count] = images
    cells = cells.reshape(rows, SHEET_COLUMNS, side, side, 3).swapaxes(1, 2)
    buffer = io.BytesIO()
    sheet = Image.fromarray(cells.reshape(rows * side, SHEET_COLUMNS * side, 3))
    sheet.save(buffer, "webp", lossless=True, quality=75)
    return buffer.getvalue()


def _colors():
    """The 256 colors of the heat, RGB bytes."""
    colors = matplotlib.colormaps[COLORMAP](np.arange(256))[:, :3]
    return np.rint(255 * colors).astype("uint8").tobytes()


def _base64(content):
    return base64.b64encode(content).decode()
