"""Writes gallery.html: the heatmaps of many test images in one file that opens in any browser.

`python -m utils.commands.gallery` shows all mistakes of the shipped network, `--class cat` every
cat, `--cell cat,dog` the cats that were taken for dogs. In the page method, layer, class explained
and opacity are switched without a network.
"""

import sys
import time

from utils.atomic import write_text
from utils.commands.arguments import command_parser, exit_status
from utils.data.shapes import CLASS_NAMES
from utils.data.sources import load_dataset
from utils.explain.map_sets import (
    METHODS,
    choose_images,
    make_map_set,
    stage_layers,
    wanted_classes,
)
from utils.html.gallery import encode_layer, gallery_data, gallery_html
from utils.records.read import ROOT, read_record
from utils.records.weights import load_trained, shipped_record
from utils.runtime import describe_runtime, output_dir, quiet_backend
from utils.settings import load_settings
from utils.training.evaluation import Predictions, evaluate

FILE = "gallery.html"
MAX_BYTES = 5_000_000
PAINTED = "These are not photographs of CIFAR-10, but painted shapes, all that the network knows."
OF_SHAPES = "shapes-resnet20v2"  # the record whose network knows the painted shapes
# Bytes of a page for a byte of maps: base64, after gzip to 0.39 (fine maps) to 0.7 (coarse ones).
SHARE = 4 / 3 * 0.39


def make_gallery(network, dataset, about_network, *, of_class=None, cell=None, most=1000):
    """Explains the chosen test images and puts them on a page below `MAX_BYTES`.

    Args:
        network: `keras.Model` that ends in logits, such as `utils.model.resnet.resnet_v2`.
        dataset: `utils.data.dataset.Dataset`.
        about_network: str, a sentence that says which network it is.
        of_class, cell: as for `utils.explain.map_sets.choose_images`.
        most: int >= 1, the most images; those with the most confident predictions stay.

    Returns:
        (page, choice), both str: the page, and a sentence that says which images are on it.

    Raises:
        ValueError: as `choose_images`; when `most` is below 1; and when the images with the maps at
            the last layer alone are too much for a page, or when these are not square.
    """
    if most < 1:
        raise ValueError(f"The number of images must be at least 1, got {most}.")
    every = evaluate(network, dataset.x_test, dataset.y_test)
    found, what = choose_images(every, dataset.class_names, of_class, cell)
    chosen = found[:most]
    predictions = Predictions(every.labels[chosen], every.probabilities[chosen])
    whole = len(chosen) == len(found)
    count = f"All {len(found):,}" if whole else f"The surest {len(chosen):,} of {len(found):,}"
    choice = f"{count} {what} (test set: {len(every.labels):,} images). Data: {dataset.source}."
    images, wanted = dataset.x_test[chosen], wanted_classes(predictions)
    data = gallery_data(images, chosen, predictions, wanted, dataset.class_names)
    about = {
        "title": f"Heatmaps of {len(chosen):,} {what}",
        "warning": PAINTED if tuple(dataset.class_names) == CLASS_NAMES else "",
        "choice": choice,
        "network": about_network,
        "left_out": "",
    }
    room = MAX_BYTES - len(gallery_html(data | {"layers": []}, about)) - 1000  # for what is said
    data["layers"], missing = layers_that_fit(network, images, wanted, room)
    if not data["layers"]:
        needed = MAX_BYTES - room + len(wanted.images) * len(METHODS) * 64
        fits = int(0.9 * len(chosen) * MAX_BYTES / needed)
        raise ValueError(
            f"{len(chosen):,} images are too many for a page below {MAX_BYTES / 1e6:g} MB. Take "
            f"fewer: --images {fits}, or make gallery IMAGES={fits}."
        )
    if missing:
        about["left_out"] = f"Left out to keep the page small: {', '.join(missing)}. "
        about["left_out"] += "With fewer images there is room."
    return gallery_html(data, about), choice


def layers_that_fit(network, images, wanted, room):
    """The maps at the layers of a network, from the last one on, as far as a page has room.

    Maps at earlier layers are larger: 64 bytes at the last layers, 1,024 at the first.

    Args:
        network, images, wanted: as for `utils.explain.map_sets.make_map_set`.
        room: int, bytes.

    Returns:
        List for `layers` of the page, and the titles of the layers that are left out.
    """
    layers, entries = stage_layers(network), []
    for layer, (title, side) in layers.items():
        expected = SHARE * len(wanted.images) * len(METHODS) * (side or 0) ** 2
        if expected > room:
            break
        found = make_map_set(network, images, wanted, layer)
        height, width = found.maps.shape[2:]
        if height != width:
            raise ValueError(
                f"The page draws square maps; those at {layer!r} are {height} x {width}. "
                "utils.explain.galleries.class_gallery and mistake_gallery draw them."
            )
        entry = encode_layer(found, title)
        if len(entry["maps"]) > room:
            break
        room -= len(entry["maps"])
        entries.append(entry)
    return entries, [title for title, _ in layers.values()][len(entries) :]


def load_network(dataset, runs=ROOT / "runs"):
    """The shipped network that knows the classes of a data set.

    Args:
        dataset: `utils.data.dataset.Dataset`, with the classes of CIFAR-10 or painted shapes.
        runs: path of the records.

    Returns:
        (`keras.Model`, a sentence about it).

    Raises:
        ValueError, OSError: as `utils.records.weights.load_trained`; when no record ships weights.
    """
    record = shipped_record(runs) if dataset.is_cifar10 else read_record(runs / OF_SHAPES)
    if record is None:
        raise ValueError(
            f"No record in {runs} ships a network for CIFAR-10; restore runs/ from version "
            "control, or train one with utils.commands.run_recipe."
        )
    accuracy = f"{100 * record.run['final']['accuracy']:.2f} % of {record.run['data']['source']}"
    text = f"Network: {record.model} of the run {record.name}; right on record: {accuracy}."
    return load_trained(record, dtype=describe_runtime().precision), text


def main(arguments=None):
    """Parses the command line and writes the page; returns the exit status."""
    parser = command_parser("utils.commands.gallery", __doc__, "--data")
    parser.set_defaults(data=None)  # ASSIGNMENT_DATA, which `make gallery DATA=...` sets
    parser.add_argument("--class", dest="of_class", help="every test image of this class")
    parser.add_argument("--cell", metavar="TRUE,PREDICTED", help="one cell of the confusion matrix")
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="at most N images")
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    started = time.monotonic()
    quiet_backend()
    dataset = load_dataset(load_settings("quick", args.data).data)  # of which only the data count
    network, text = load_network(dataset)
    choice = {"of_class": args.of_class, "cell": args.cell, "most": args.images}
    page, what = make_gallery(network, dataset, text, **choice)
    path = output_dir() / FILE
    write_text(path, page)
    seconds, size = time.monotonic() - started, len(page.encode()) / 1e6
    print(
        f"{text}\n{what}\nWritten in {seconds:.0f} s: {path}, {size:.2f} MB. Open it in a browser."
    )


if __name__ == "__main__":
    sys.exit(main())
