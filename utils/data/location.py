"""What a user types or pastes where a file, a folder or a web address is asked for."""

import os
import re
from urllib.parse import urlsplit
from urllib.request import url2pathname

# Pairs that come along when a path is copied: from a shell, a program, a text, an e-mail.
_QUOTES = ('""', "''", "``", "“”", "‘’", "„“", "«»", "<>")


def clean_location(text):
    """The path or address that is meant by what was typed or pasted.

    Blanks, line ends and quotation marks around it are dropped, as is the backslash that a terminal
    puts before blanks; `~` becomes the home folder, and `file://` addresses become paths.

    Args:
        text: str or `os.PathLike`.

    Returns:
        str, `""` where nothing was typed.

    Raises:
        TypeError: If it is neither text nor a path.
        ValueError: If a control character is inside, as where `"C:\\new"` was typed in Python.
    """
    if not isinstance(text, str | os.PathLike):
        raise TypeError(f"Give a path or an address as text, not {type(text).__name__}.")
    text = os.fspath(text).strip("\ufeff\u200b \t\r\n\xa0")
    while len(text) >= 2 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    found = re.search(r"[\x00-\x1f\x7f]", text)
    if found:
        raise ValueError(
            f"{shown(text)} contains the control character {found[0]!r}. Type the path again; "
            "in Python write / instead of \\, also on Windows."
        )
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        text = url2pathname(parts.path)
    return os.path.expanduser(text.replace("\\ ", " "))


def is_address(location):
    """Whether a cleaned location is the address of something on the internet, not a path."""
    # Two letters or more before ://, so that the drive of a Windows path is none.
    return re.match(r"(?i)[a-z][a-z0-9+.-]+://|(https?|data|blob|about):", location) is not None


def shown(text, limit=100):
    """Text for an error message, in quotes; the middle of a long one is left out."""
    if len(text) > limit:
        text = f"{text[: limit // 2]} ... {text[-limit // 4 :]}"
    return repr(text)
