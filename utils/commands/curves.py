"""Draws the log of a recorded run over that of another one.

`python -m utils.commands.curves runs/NAME runs/OTHER` draws any two. The full runs over that of
2019 are drawn by `python -m utils.commands.report`, with all figures that need only the records.
"""

import sys
from pathlib import Path

from utils.commands.arguments import command_parser, exit_status
from utils.figures.history import plot_history
from utils.figures.style import save_png
from utils.location import path_argument
from utils.records.read import read_record


def main(arguments=None):
    """Parses the command line and draws the figure; returns the exit status."""
    parser = command_parser("utils.commands.curves", __doc__)
    for name, help_text in (
        ("run", "folder of the record that is drawn in front"),
        ("other", "folder of the record that is drawn behind it"),
    ):
        parser.add_argument(name, type=path_argument, help=help_text)
    parser.add_argument(
        "--output", type=path_argument, default=Path("build/curves.png"), help="PNG file to write"
    )
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    run, other = read_record(args.run), read_record(args.other)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_png(plot_history(run.history, {other.name: other.history}), args.output)
    print(f"drawn: {args.output}")


if __name__ == "__main__":
    sys.exit(main())
