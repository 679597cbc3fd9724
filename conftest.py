"""Settings of every test run, made before any test imports Keras."""

import atexit
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib
import pytest

from utils.commands.execute import prepare_environment

# Kernels that nbval starts inherit all this.
prepare_environment(Path(__file__).parent / "build" / ".cache")
OUTPUT = tempfile.mkdtemp(prefix="assignment-tests-")
atexit.register(shutil.rmtree, OUTPUT, ignore_errors=True)
os.environ["ASSIGNMENT_PROFILE"] = "smoke"
os.environ["ASSIGNMENT_OUTPUT"] = OUTPUT
os.environ["ASSIGNMENT_DATA"] = os.environ.get("ASSIGNMENT_DATA") or "shapes"
matplotlib.use("Agg")


def pytest_collection_modifyitems(items):
    """Skips the tests on real images unless ASSIGNMENT_DATA names a folder with them.

    Where a fault is planted (`make mutants`), the fastest tests come first, because one that fails
    is enough, and those that exceed the time for a mutant are left out. Not while mutmut lists the
    tests or times them, because it would forget those that are missing then, for all mutants.
    """
    times = Path("mutmut-stats.json")
    if "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", "") and times.exists():
        seconds = json.loads(times.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0))
        ends = itertools.accumulate(seconds.get(item.nodeid, 0) for item in items)
        limit = float(os.environ.get("MUTANT_SECONDS", "inf"))
        items[:] = items[:1] + [item for item, end in zip(items[1:], [*ends][1:]) if end <= limit]
    if Path(os.environ["ASSIGNMENT_DATA"]).is_dir():
        return
    for item in items:
        if item.get_closest_marker("real_images"):
            item.add_marker(pytest.mark.skip(reason="ASSIGNMENT_DATA is not a folder of images"))
