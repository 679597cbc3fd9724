"""How much of the processors other processes take while something is measured.

The load average cannot tell: it looks a minute back, at what has just ended as well.
"""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")  # of Linux


def busy_seconds(stat=STAT):
    """Seconds that all processors together have worked since the machine started, for anybody.

    Time that the host of a virtual machine gave to others counts: it is missing here, too.

    Returns:
        float, or None where nobody counts, which is everywhere but on Linux.
    """
    try:
        fields = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    # proc(5): cpu, user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Seconds that the processors have worked for this process and for children that have ended."""
    return sum(os.times()[:4])


class Others:
    """Measures, from when it is made, what part of the processors others take.

    Linux counts in ticks of 10 ms, so that half a second on two cores is exact to about 2 %.
    """

    def __init__(self):
        self.before = time.perf_counter(), busy_seconds(), own_seconds()

    def share(self):
        """Part of the time of all processors that others took, 0 to 1; None where nobody counts."""
        start, busy, own = self.before
        if busy is None:
            return None
        seconds = (time.perf_counter() - start) * os.cpu_count()
        others = busy_seconds() - busy - (own_seconds() - own)
        return round(min(1.0, max(0.0, others / seconds)), 4)


def idle_share(seconds=2.0):
    """Part of the processors that others take while this process sleeps; None where not known."""
    others = Others()
    time.sleep(seconds)
    return others.share()
