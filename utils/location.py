"""What a user types or pastes where a file, a folder or a web address is asked for."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

# Pairs that come along when a path is copied: from a shell, a program, a text, an e-mail.
_QUOTES = ('""', "''", "``", "“”", "‘’", "„“", "«»", "<>")
# Blanks, and marks without a glyph: Windows puts U+202A before a path that its dialogs show.
_INVISIBLE = " \t\r\n\xa0\u202f\ufeff\u200b\u200e\u200f\u202a\u202c\u2060"
# A whole line of the notebook, as in PHOTO = r"cat.jpg"  # @param {type: "string"}
_ASSIGNMENT = re.compile(r"""(?:\w+\s*=\s*)?[rRuUfF]?(["'])(.*)\1\s*[,;]?\s*(?:#.*)?""")
_UNQUOTED_ASSIGNMENT = re.compile(r"(?:PHOTO|DATA|ASSIGNMENT_\w+)\s*=\s*(.*)")


def clean_location(text):
    """The path or address that is meant by what was typed or pasted.

    Blanks, line ends and quotation marks around it are dropped, as are a `PHOTO = ` before it and
    the backslash that a terminal puts before blanks; `~`, `$HOME` and `%USERPROFILE%` become the
    home folder, other variables their value where they have one, and `file:` addresses paths.

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
    text = os.fspath(text).strip(_INVISIBLE)
    if found := _UNQUOTED_ASSIGNMENT.fullmatch(text):
        text = found[1]
    if found := _ASSIGNMENT.fullmatch(text):
        text = found[2].strip(_INVISIBLE)
    while len(text) >= 2 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip(_INVISIBLE)
    found = re.search(r"[\x00-\x1f\x7f]", text)
    if found:
        raise ValueError(
            f"{shown(text)} contains the control character {found[0]!r}. Type the path again; "
            "in Python write / instead of \\, also on Windows."
        )
    if text.lower().startswith("file:"):
        return url2pathname(urlsplit(text).path)
    if is_address(text):
        return text
    return os.path.expanduser(_expand_variables(text.replace("\\ ", " ")))


def path_argument(text):
    """`type` of a command's option that takes a path: `pathlib.Path` of the cleaned location.

    A shell does not expand the ~ of --output=~/runs.
    """
    return Path(clean_location(text))


def _expand_variables(text):
    """`$NAME`, `${NAME}` and `%NAME%` by their values; a name without a value stays as it is."""

    def value(found):
        name = found[1] or found[2] or found[3]
        if name in ("HOME", "USERPROFILE"):  # each is known to one system only
            return os.path.expanduser("~")
        return os.environ.get(name, found[0])

    return re.sub(r"\$(\w+)|\$\{(\w+)\}|%(\w+)%", value, text)


def is_address(location):
    """Whether a cleaned location is the address of something on the internet, not a path."""
    # Two letters or more before ://, so that the drive of a Windows path is none.
    return re.match(r"(?i)[a-z][a-z0-9+.-]+://|(https?|data|blob|about):", location) is not None


def shown(text, limit=100):
    """Text for an error message, in quotes; the middle of a long one is left out.

    A user name and a password in an address are not shown: notebooks are passed on with outputs.
    """
    text = re.sub(r"(?<=://)[^/?#]*@", "...@", text)
    if len(text) > limit:
        text = f"{text[: limit // 2]} ... {text[-limit // 4 :]}"
    return repr(text)
