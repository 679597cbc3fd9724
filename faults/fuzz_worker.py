"""One kind of input in a process of its own.

`python -m faults.fuzz_worker KIND FIRST LAST FOLDER` tries the inputs FIRST to LAST - 1 and
prints the failures as JSON. What it reads may end the process: `faults.fuzz` starts it.
"""

import json
import resource
import sys
from pathlib import Path

import hypothesis

from faults.guard import MEMORY, Guard
from faults.mutation import mutation
from faults.structured import STRATEGIES
from faults.targets import targets

SEED = 0  # of all inputs; their numbers tell them apart


def fuzz_files(name, guard, last, folder):
    """Reads changed files, input `guard.tried` to `last` - 1."""
    target = targets()[name][1](folder)
    while guard.tried < last:
        content = mutation(target.samples, SEED, guard.tried)
        guard.run(lambda: target.read(content))  # noqa: B023, it is called at once


def fuzz_values(name, guard, last):
    """Calls functions with values that hypothesis makes up."""
    strategy = STRATEGIES[name][1]

    @hypothesis.seed(SEED + guard.tried)
    @hypothesis.settings(
        max_examples=last - guard.tried,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(strategy())
    def one(call):
        guard.run(call)

    one()


def main(arguments):
    """Runs one kind and prints what failed."""
    name, first, last, folder = arguments
    folder = Path(folder)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    guard = Guard(folder, folder.with_suffix(".state"), int(first))
    if name in STRATEGIES:
        fuzz_values(name, guard, int(last))
    else:
        fuzz_files(name, guard, int(last), folder)
    guard.note()
    print(json.dumps(list(guard.failures.values())))


if __name__ == "__main__":
    main(sys.argv[1:])
