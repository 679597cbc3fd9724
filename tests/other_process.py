"""Runs Python code in a process of its own, which has imported nothing yet."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_alone(script, folder):
    """What a script prints in a folder, with the modules of the repository at hand.

    Returns:
        `subprocess.CompletedProcess` with stdout and stderr as text.
    """
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
