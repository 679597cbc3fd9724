"""What the weights of a run give on the test images of another data set; noted in its record.

`python -m utils.commands.measure runs/NAME --data DIR` loads the weights that the record ships,
counts the right answers on the test images of DIR, and adds them to the `measured` of its run.json.
The test set that the run was recorded with keeps its place in `final`.
"""

import sys

from utils.commands.arguments import command_parser, exit_status
from utils.data.sources import load_dataset
from utils.location import path_argument
from utils.records.read import read_record
from utils.records.weights import load_trained
from utils.records.write import save_record
from utils.runtime import describe_runtime, git_commit
from utils.training.evaluation import evaluate_with_mirror


def measure(record, dataset):
    """Counts the right answers of a recorded network on the test images of a data set.

    Args:
        record: `utils.records.read.Record` that ships its weights.
        dataset: `utils.data.dataset.Dataset` with the same classes.

    Returns:
        Dict of plain values, an entry of the record's `measured`. The network computes in the
        precision it was trained in.

    Raises:
        ValueError: when the record was measured on these very images, the classes are others, or
            the weights do not fit; FileNotFoundError when they are missing.
    """
    data = record.run["data"]
    if data["content_hash"] == dataset.content_hash:
        raise ValueError(
            f"{record.name} was tested on this data set when it was trained: {data['source']}, "
            f"content hash {dataset.content_hash}. Name another one with --data."
        )
    if record.on_cifar10 != dataset.is_cifar10:
        raise ValueError(
            f"{record.name} was trained on {data['source']}, but --data gives {dataset.source}, "
            f"with other classes. Name a data set with the same classes."
        )
    model = load_trained(record, dtype=record.run["precision"])
    plain, mirrored = (
        {"correct": int(found.correct.sum()), "accuracy": float(found.correct.mean())}
        for found in evaluate_with_mirror(model, dataset.x_test, dataset.y_test)
    )
    return {
        "source": dataset.source,
        "content_hash": dataset.content_hash,
        "images": len(dataset.y_test),
        **plain,
        "flip_averaged": mirrored,
        "device": describe_runtime().device,
        "git_commit": git_commit(),
    }


def add_measurement(record, entry):
    """Adds an entry to the record's `measured`, in place of an earlier one on the same images.

    Args:
        record: `utils.records.read.Record`.
        entry: dict from `measure`.
    """
    others = [
        one
        for one in record.run.get("measured", [])
        if one["content_hash"] != entry["content_hash"]
    ]
    save_record(record.folder, record.run | {"measured": [*others, entry]})


def main(arguments=None):
    """Parses the command line, measures and notes the result; returns the exit status."""
    parser = command_parser("utils.commands.measure", __doc__)
    help_text = "folder of a record that ships its weights, as runs/NAME"
    parser.add_argument("run", type=path_argument, help=help_text)
    parser.add_argument("--data", required=True, help="cifar10, shapes or a local folder")
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    record = read_record(args.run)
    entry = measure(record, load_dataset(args.data))
    add_measurement(record, entry)
    mirrored = entry["flip_averaged"]
    print(
        f"{record.name} on {entry['source']}: {entry['correct']:,} of {entry['images']:,} test "
        f"images right ({entry['accuracy']:.2%}), averaged with the mirror image "
        f"{mirrored['correct']:,} ({mirrored['accuracy']:.2%})"
    )


if __name__ == "__main__":
    sys.exit(main())
