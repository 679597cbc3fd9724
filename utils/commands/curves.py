"""Draws the log of a recorded run over that of another one, as curves.png beside its record.

`python -m utils.commands.curves runs/NAME runs/2019-submission` shows how far a repetition of the
recipe of 2019 follows the log of the submission; README shows the figure behind the epoch log.
"""

import sys

from utils.commands.arguments import command_parser, exit_status
from utils.figures.history import plot_history
from utils.figures.style import save_png
from utils.location import path_argument
from utils.records.read import CURVES_FILE, read_record


def main(arguments=None):
    """Parses the command line and draws the figure; returns the exit status."""
    parser = command_parser("utils.commands.curves", __doc__)
    for name, help_text in (
        ("run", "folder of the record, which gets the figure"),
        ("other", "folder of the record that is drawn behind it"),
    ):
        parser.add_argument(name, type=path_argument, help=help_text)
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    run, other = read_record(args.run), read_record(args.other)
    path = run.folder / CURVES_FILE
    save_png(plot_history(run.history, {other.name: other.history}), path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    sys.exit(main())
