"""Draws the heatmaps of a recorded run again, from the weights that it ships: nothing is trained.

`python -m utils.commands.heatmaps runs/NAME --data DIR` draws what a training draws at its end,
gradcam.png and first_look.png, beside the record. DIR must hold the images the run was tested on;
where those were N images held out of the training set, give `--hold-out N`, too.
"""

import sys

from utils.commands.arguments import command_parser, exit_status
from utils.commands.run_recipe import draw_heatmaps, load_split
from utils.location import path_argument
from utils.records.read import FIRST_LOOK_FILE, HEATMAPS_FILE, read_record
from utils.records.weights import load_trained
from utils.training.evaluation import evaluate


def main(arguments=None):
    """Parses the command line and draws the figures; returns the exit status."""
    parser = command_parser("utils.commands.heatmaps", __doc__, "--hold-out")
    help_text = "folder of a record that ships its weights, as runs/NAME"
    parser.add_argument("run", type=path_argument, help=help_text)
    parser.add_argument("--data", required=True, help="cifar10, shapes or a local folder")
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    record = read_record(args.run)
    dataset, _ = load_split(args.data, args.hold_out)
    data = record.run["data"]
    if data["content_hash"] != dataset.content_hash:
        raise ValueError(
            f"{record.name} was tested on {data['source']}, content hash {data['content_hash']} "
            f"({data['validation']}); --data and --hold-out give {dataset.source}, "
            f"{dataset.content_hash}. Name the images of the run."
        )
    model = load_trained(record, dtype=record.run["precision"])
    test = evaluate(model, dataset.x_test, dataset.y_test)
    print(f"{test.correct.sum():,} of {len(test.labels):,} test images right")
    draw_heatmaps(model, dataset, test, record.folder)
    print(f"drawn: {record.folder / HEATMAPS_FILE}, {record.folder / FIRST_LOOK_FILE}")


if __name__ == "__main__":
    sys.exit(main())
