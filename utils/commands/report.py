"""Renews the generated parts of README.md and Assignment4B.ipynb from the run records.

`--check` only says whether they are up to date; `--repository owner/name` (or `make colab
REPO=owner/name`) enters the repository's public address, from which badge and links follow.
"""

import difflib
import sys

from utils.atomic import write_text
from utils.commands.arguments import command_parser
from utils.records.pages import renewed_files
from utils.records.read import ROOT


def main(arguments=None, root=ROOT):
    """Parses the command line; returns the exit status."""
    parser = command_parser("utils.commands.report", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="enter the public address")
    args = parser.parse_args(arguments)
    try:
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
    if args.check and stale:
        print("\nThe files above differ from the records; run: python -m utils.commands.report")
        return 1
    if not stale:
        print("All generated parts are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
