"""What came of a fault: one line of the table."""

import time
from dataclasses import dataclass, field

KEPT_FAILURES = 5  # a fault that strikes thousands of times needs no longer list


@dataclass
class Result:
    """Tries of one kind of fault.

    Attributes:
        group: which part of `python -m faults` tried it.
        fault: what was done, a few words.
        tries, survived: counts.
        seconds: wall-clock time of all tries.
        note: what else was counted, or why nothing was tried.
        failures: str for each try that was not survived, the first few.
    """

    group: str
    fault: str
    tries: int = 0
    survived: int = 0
    seconds: float = 0.0
    note: str = ""
    failures: list = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic, repr=False)

    def add(self, failure="", count=1):
        """Counts tries: survived, unless `failure` says what happened."""
        self.tries += count
        if not failure:
            self.survived += count
        elif len(self.failures) < KEPT_FAILURES:
            self.failures.append(failure)

    def add_unnoticed(self):
        """Counts a try that nobody could have survived: not a failure, but not survived, either."""
        self.tries += 1

    def done(self, note=""):
        """Stops the clock; returns the result itself."""
        self.seconds = round(time.monotonic() - self.begin, 1)
        self.note = note or self.note
        return self

    def line(self):
        """One line for the screen, and one for each kept failure."""
        text = f"{self.survived:>7,} of {self.tries:>7,} survived  {self.seconds:6.1f} s  "
        text += self.fault + (f" ({self.note})" if self.note else "")
        return "\n".join([text, *(f"    NOT SURVIVED: {failure}" for failure in self.failures)])
