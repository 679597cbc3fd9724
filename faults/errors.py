"""Which exceptions are ours: a ValueError or OSError that says what is wrong."""

import linecache
import traceback
from pathlib import Path

UTILS = Path(__file__).resolve().parent.parent / "utils"


def is_ours(error):
    """Whether an exception is one that a user can act on.

    That is a ValueError or OSError which a `raise` of this repository made, or an OSError of the
    operating system, which names the file.
    """
    if not isinstance(error, (ValueError, OSError)):
        return False
    if isinstance(error, OSError) and error.filename is not None:
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno).lstrip()
    return Path(last.filename).is_relative_to(UTILS) and line.startswith("raise")


def describe(error):
    """Kind, message and place of an exception, on one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"
