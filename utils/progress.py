"""A live line about long work: where it is, rewritten in place on a terminal and nowhere else.

The line never enters an output that is kept. In a terminal it goes to the standard error stream.
In a notebook's kernel, whose streams end up in the notebook, it goes into the file that the
environment variable `ASSIGNMENT_PROGRESS` names, and `utils.commands.execute`, which sets that
variable if it runs in a terminal, shows what it finds there. In a pipe, in CI, and in a browser
there is no line.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path

VARIABLE = "ASSIGNMENT_PROGRESS"
INTERVAL = 0.25  # seconds between two rewritings; more often would only cost
FILE_BYTES = 200  # of a line in a file
_under_way = []  # labels of the loops that run now, the outermost first


class TerminalLine:
    """One line of a terminal that is rewritten in place; nothing at all on another stream.

    Args:
        stream: open text stream.
    """

    def __init__(self, stream):
        self.stream, self.shown = stream, ""
        self.lock = threading.Lock()
        self.is_live = stream is not None and stream.isatty()

    def show(self, text):
        """Puts a text in the place of the last one; an empty one clears the line."""
        with self.lock:
            self._write(text)

    @contextlib.contextmanager
    def hidden(self):
        """Clears the line for the time of a block that prints to the same terminal."""
        with self.lock:
            self._write("")
            yield

    def _write(self, text):
        if not self.is_live or text == self.shown:
            return
        # A line that wraps around could not be rewritten.
        text = text[: shutil.get_terminal_size().columns - 1]
        blank = " " * len(self.shown)
        self.stream.write(f"\r{blank}\r{text}")
        self.stream.flush()
        self.shown = text


class FileLine:
    """A line for another process to show, kept in a file and padded with blanks.

    The file is overwritten in place: to make it anew each time would take a hundred times as long.

    Args:
        path: path of the file; when it cannot be written there is no line.
    """

    is_live = True

    def __init__(self, path):
        self.path = Path(path)
        with contextlib.suppress(OSError):  # no reason to break off what the line tells about
            self.path.write_bytes(b"")

    def show(self, text):
        """Puts a text in the place of the last one."""
        with contextlib.suppress(OSError), self.path.open("r+b") as file:
            file.write(text.encode()[:FILE_BYTES].ljust(FILE_BYTES))


class Progress:
    """Shows where long work is, at most a few times a second.

    Args:
        line: `TerminalLine` or `FileLine`; by default the one that suits this process.
        clock: function that gives seconds.
    """

    def __init__(self, line=None, clock=time.monotonic):
        path = os.environ.get(VARIABLE)
        self.line = line or (FileLine(path) if path else TerminalLine(sys.stderr))
        self.clock, self.next = clock, -float("inf")

    def due(self):
        """Whether a line would be shown now; if not, its text need not be worked out."""
        return self.line.is_live and self.clock() >= self.next

    def show(self, text):
        """Shows a text, unless the last one was shown a moment ago."""
        if self.due():
            self.line.show(text)
            self.next = self.clock() + INTERVAL

    def clear(self):
        """Takes the line away; to be called before something else is printed."""
        if self.line.is_live:
            self.line.show("")
            self.next = -float("inf")


def progress(items, label):
    """Yields the items of long work and shows how many are done: "label 12 of 500".

    Of loops within each other only the outermost one shows where it is.

    Args:
        items: iterable that has a length.
        label: str, such as `"range test: step"`.

    Yields:
        The items. The line is gone when they are used up or the loop is left.
    """
    total = len(items)
    live = None if _under_way else Progress()
    _under_way.append(label)
    try:
        for done, item in enumerate(items):
            if live:
                live.show(f"{label} {done + 1:,} of {total:,}")
            yield item
    finally:
        _under_way.remove(label)
        if live:
            live.clear()


@contextlib.contextmanager
def watching(path, line, ready=lambda: True):
    """Shows what another process writes into a file, as long as the block runs.

    Args:
        path: `pathlib.Path` that is that process's `ASSIGNMENT_PROGRESS`.
        line: `TerminalLine`.
        ready: function; False while the terminal's cursor does not stand at the start of a line.
    """
    stop = threading.Event()

    def watch():
        while not stop.wait(INTERVAL):
            with contextlib.suppress(OSError, UnicodeDecodeError):  # not there yet, half written
                if ready():
                    line.show(path.read_text(encoding="utf-8").rstrip())

    thread = threading.Thread(target=watch, daemon=True)
    if line.is_live:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if line.is_live:
            thread.join()
        line.show("")


def format_duration(seconds):
    """Seconds as people say them: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
