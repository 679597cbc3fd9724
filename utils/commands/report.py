"""Renews figures and generated parts of the pages and of Assignment4B.ipynb from the records.

`--check` only says whether they are up to date; `--redraw` draws every figure, also where its
records have not changed; `--repository owner/name` (or `make colab REPO=owner/name`) enters the
repository's public address, from which badge and links follow.
"""

import difflib
import sys

from utils.atomic import write_text
from utils.commands.arguments import command_parser
from utils.records.drawings import drawings
from utils.records.pages import renewed_files
from utils.records.read import ROOT


def main(arguments=None, root=ROOT):
    """Parses the command line; returns the exit status."""
    parser = command_parser("utils.commands.report", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--redraw", action="store_true", help="draw all figures, changed or not")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="enter the public address")
    args = parser.parse_args(arguments)
    try:
        figures = [one for one in drawings(root / "runs") if args.redraw or not one.is_up_to_date()]
        if not args.check:
            for figure in figures:
                figure.draw()
                print(f"drawn {figure.path.relative_to(root).as_posix()}")
        files = renewed_files(root, args.repository)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stale = {path: texts for path, texts in files.items() if texts[0] != texts[1]}
    for path, (old, new) in stale.items():
        name = path.relative_to(root).as_posix()
        if args.check:
            lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, name, f"{name}, renewed"))
        else:
            write_text(path, new)
            print(f"renewed {name}")
    if args.check and (stale or figures):
        for figure in figures:
            print(f"{figure.path.relative_to(root).as_posix()} does not show its records.")
        print("\nThe files above differ from the records; run: python -m utils.commands.report")
        return 1
    if not (stale or figures):
        print("All generated parts are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
