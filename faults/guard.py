"""Runs code on one input after the other and notices what must never happen.

An exception that is not ours, the execution of foreign code, a write outside of the scratch folder,
and more than five seconds are failures. A hang and a crash of the interpreter end the process; the
count that stands in a file then tells the input.
"""

import faulthandler
import os
import struct
import sys
import tempfile
from pathlib import Path

from faults.errors import describe, is_ours

SECONDS = 5  # the most that an input may take
MEMORY = 12 * 10**9  # bytes of address space; a bomb must not bring the machine down
EXECUTES = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen")
EXECUTES += ("pty.spawn", "socket.connect", "pickle.find_class", "shutil.rmtree", "ctypes.dlopen")


class Guard:
    """Counts inputs, refusals and failures.

    Args:
        folder: `Path` of the only folder, beside the system's temporary one, that may be written.
        state: `Path` of the file that holds the counts of inputs and of refusals.
        first: int, number of the first input.
    """

    def __init__(self, folder, state, first=0):
        self.folders = tuple(map(str, (folder.resolve(), Path(tempfile.gettempdir()).resolve())))
        self.file = state.open("wb", buffering=0)
        self.tried, self.refused, self.failures = first, 0, {}
        self.watching, self.seen = False, None
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if not self.watching:
            return
        if event in EXECUTES:
            self.seen = f"executes: {event} {arguments[:1]}"
        elif event == "open" and isinstance(arguments[0], str):
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR) if flags else "w" in (mode or "")
            if writes and not os.path.abspath(path).startswith((*self.folders, "/dev/")):
                self.seen = f"writes {path}"

    def note(self):
        self.file.seek(0)
        self.file.write(struct.pack("<QQ", self.tried, self.refused))

    def run(self, call):
        """Calls a function that is to return or to raise one of our exceptions."""
        self.tried += 1
        self.note()
        self.seen, self.watching = None, True
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        failure = ""
        try:
            call()
        except Exception as error:
            self.watching = False
            self.refused += is_ours(error)
            failure = "" if is_ours(error) else describe(error)
        finally:
            self.watching = False
            faulthandler.cancel_dump_traceback_later()
        failure = failure or self.seen
        if failure:
            # The same place in the code is the same fault, whatever the values.
            place = failure.rpartition("(")[2] if failure.endswith(")") else failure
            kind = (failure.split(":")[0], place)
            count, example = self.failures.get(kind, (0, f"input {self.tried - 1}: {failure}"))
            self.failures[kind] = (count + 1, example)


def read_state(path):
    """(inputs, refusals) that a guard has noted."""
    content = path.read_bytes() if path.exists() else b""
    return struct.unpack("<QQ", content) if len(content) == 16 else (0, 0)
