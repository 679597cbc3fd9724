"""Keeps a run's folder to one training at a time."""

import contextlib
import os


@contextlib.contextmanager
def locked(folder):
    """Keeps a run's folder to this process; the system lets go of it however the process ends.

    Two trainings in one folder, as of an old kernel and a new one, would delete each other's
    checkpoints. Where there are no such locks (Windows, some network drives), nothing is kept.

    Args:
        folder: `pathlib.Path` of an existing folder.

    Raises:
        ValueError: when another training is under way in it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None
    if fcntl is None:  # outside of the handler, which would put its error above those of the block
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another training is under way in {folder}. Wait for it or stop it (in Jupyter: "
                f"shut down the other kernel), or choose another folder."
            ) from None
        except OSError:  # a drive without locks
            pass
        yield
    finally:
        os.close(handle)
