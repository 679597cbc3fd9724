"""A device without room for a batch: training, range test, prediction, Grad-CAM, Score-CAM.

No device is really full: a layer raises the backend's own error above a number of images. Survived
is a test of `make test` that passes: the work ends in an error that names a batch size to try, goes
on with that one, and the folder of a training stays whole. A prediction takes that size by itself.
"""

from faults.hostile import run_tests

TESTS = tuple(
    f"tests/test_out_of_memory.py::test_{name}"
    for name in (
        "a_training_goes_on_elsewhere_or_begins_anew_with_half",
        "prediction",
        "range_test",
        "explaining",
    )
)


def lack_memory(scratch):
    """Runs the tests; returns a `Result`."""
    what = "training, range test, prediction, Grad-CAM, Score-CAM"
    return run_tests(f"no memory for a batch: {what}", TESTS, scratch, group="memory")
