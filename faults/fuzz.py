"""Senseless input by the ten thousand: none may crash, hang, run code or raise what is not ours.

Survived is an input that ends within five seconds, in a value or in an error of ours, without a
crash, foreign code or a write where none belongs (`faults.guard`). The value is compared with
nothing: of a changed file nobody knows what it should be. Files are changed at random, values are
made up by hypothesis. Each kind has processes of its own; one that crashes or hangs is counted and
goes on behind the input that did it.
"""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from faults import workload
from faults.guard import SECONDS, read_state
from faults.result import Result
from faults.structured import STRATEGIES
from faults.targets import targets

TOTAL = 120_000
CRASHES = 5  # of one kind, after which it is given up


def counts(total):
    """Dict of every kind of input to how many of `total` inputs it gets."""
    shares = {name: share for name, (share, _) in (targets() | STRATEGIES).items()}
    return {name: -(-total * share // sum(shares.values())) for name, share in shares.items()}


def fuzz_kind(name, count, scratch, report=print):
    """Tries `count` inputs of one kind; returns a `Result`."""
    how = "values made up" if name in STRATEGIES else "files changed at random"
    result = Result("fuzz", f"{how}: {name}")
    folder = scratch / name.replace(", ", "-").replace(" ", "-")
    state, refused, ended, done = folder.with_suffix(".state"), 0, 0, 0
    while done < count and ended < CRASHES:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        state.unlink(missing_ok=True)
        command = [sys.executable, "-m", "faults.fuzz_worker", name]
        command += [*map(str, (done, count)), str(folder)]
        process = subprocess.run(
            command,
            cwd=workload.ROOT,
            env=workload.environment("tensorflow") | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            errors="replace",
        )
        before, (done, more) = done, read_state(state)
        refused += more
        if process.returncode == 0:
            failures = json.loads(process.stdout.splitlines()[-1])
            for number, example in failures:
                result.add(f"{number} times: {example}", number)
            result.add(count=done - before - sum(number for number, _ in failures))
            break
        ended += 1
        words = process.stderr.strip().splitlines() or [""]
        what = f"more than {SECONDS} s" if "Timeout" in process.stderr else words[-1]
        result.add(f"input {done - 1}: process ended with status {process.returncode}: {what}")
        result.add(count=max(done - before - 1, 0))
    result.done(f"{refused:,} refused")
    report(result.line())
    return result


def fuzz(scratch, total=TOTAL, report=print):
    """Tries all kinds, two at a time; returns a list of `Result`."""
    plan = counts(total)
    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda one: fuzz_kind(*one, scratch, report), plan.items()))
    inputs = sum(result.tries for result in results)
    report(f"  {inputs:,} inputs in {time.monotonic() - begin:.0f} s")
    return results
