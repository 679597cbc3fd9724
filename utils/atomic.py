"""Files that are written whole or not at all, whatever happens in between."""

import contextlib
import errno
import os
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, quota reached, file too large


@contextlib.contextmanager
def replacing(path):
    """Yields the path of a temporary file, which at the end of the block takes the place of `path`.

    The content is on the disk before the name is: after a crash or a power failure there is the
    old file or the new one. After an exception in the block the old one stays.

    Args:
        path: file to write, in an existing folder.

    Yields:
        `pathlib.Path` in the same folder, with the same suffixes; the block must create the file.

    Raises:
        OSError: when the file cannot be written, naming it and the reason.
    """
    path = Path(path)
    temporary = path.with_name(f".partial.{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # that of a failed write names no file
        reason = error.strerror or str(error)
        message = f"cannot write {path}: {reason}; what was there before is kept"
        if error.errno in NO_ROOM:
            message += ". Make room on the disk, then start again: a training goes on"
        raise OSError(error.errno, message) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file, UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
