"""What is fuzzed: for every format the function that reads it, as the programs call it."""

import contextlib
import hashlib
import io
import sys

from faults import samples


class Target:
    """A reader and the files to begin with.

    Attributes:
        samples: list of bytes.
        read: function of bytes that reads a changed file; it returns or raises.
    """

    def __init__(self, samples, read):
        self.samples, self.read = samples, read


def photos(folder):
    """Photos of any format, read by `utils.explain.photo.load_photo`."""
    from utils.explain.photo import load_photo

    path = folder / "photo"

    def read(content):
        path.write_bytes(content)
        load_photo(path, max_pixels=1_000_000)

    return Target(sum(samples.images().values(), []), read)


def image_tree(folder):
    """An image in a tree of folders, read by `utils.data.sources.load_dataset`."""
    from utils.data.dataset import CIFAR10_CLASSES
    from utils.data.sources import load_dataset

    images = {suffix: samples.images()[suffix] for suffix in (".png", ".jpg")}
    for split in ("train", "test"):
        for name in CIFAR10_CLASSES:
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / "a.png").write_bytes(images[".png"][0])

    def read(content):
        suffix = ".png" if content[1:4] == b"PNG" else ".jpg"
        path = folder / "train" / CIFAR10_CLASSES[3] / f"b{suffix}"
        path.write_bytes(content)
        try:
            load_dataset(folder, report=lambda line: None)
        finally:
            path.unlink()

    return Target(sum(images.values(), []), read)


def archive(folder, edition):
    """An archive of CIFAR-10 that has the right hash, whatever is in it.

    What is changed is the archive as a whole, or the tar in it, which is then packed anew with
    right checksums: else nothing would get past these. An archive's batches have no hashes of
    their own, so that their readers are reached, too.
    """
    from utils.data.cifar_archive import read_archive

    tars = samples.tars(samples.batches(edition), edition.folder)
    path = folder / "archive.tar.gz"

    def read(changed):
        content = changed if changed.startswith(b"\x1f\x8b") else samples.packed(changed)
        path.write_bytes(content)
        try:
            read_archive(path, edition._replace(sha256=hashlib.sha256(content).hexdigest()))
        finally:
            climbed = [place for place in samples.OUTSIDE if (folder / place).exists()]
            assert not climbed, f"the archive was left for {climbed}"

    originals = [samples.packed(tars[0]), *tars]
    for content in originals:  # the unchanged ones can be read, and nothing climbs out of them
        read(content)
    return Target(originals, read)


def batch(folder, edition):
    """A batch of CIFAR-10 that has the right hash: what if the check of the hash were not there?"""
    from utils.data.cifar_archive import read_batches

    contents = samples.batches(edition)
    first, _ = edition.batches[0]
    algorithm = edition.algorithm
    for name, content in contents.items():
        (folder / name).write_bytes(content)

    def read(changed):
        (folder / first).write_bytes(changed)
        hashes = {
            name: hashlib.new(algorithm, content).hexdigest()
            for name, content in (contents | {first: changed}).items()
        }
        read_batches(folder, edition._replace(batches=tuple(hashes.items())))

    hostile = [b"cos\nabort\n(tR.", b"\x80\x02cbuiltins\nexec\nU\x08os.abort\x85R."]
    hostile = hostile if not first.endswith(".bin") else []
    return Target([contents[first], *hostile], read)


def weights(folder):
    """Weights whose hash is in the record: what if an archive that was made so is evil?"""
    from utils.records.weights import read_weights

    path = folder / "weights.npz"

    def read(content):
        path.write_bytes(content)
        read_weights(path, hashlib.sha256(content).hexdigest())

    return Target(samples.arrays(), read)


def history(folder):
    """A history, read to go on with a training."""
    from utils.training.epoch_log import read_history

    return _text(
        folder / "history.csv", [(samples.copy_record(folder), "history.csv")], read_history
    )


def curve(folder):
    """The curve of a range test."""
    from utils.training.lr_curve import RangeTestResult

    [*_, full] = sorted((samples.ROOT / "runs").glob("*/range_test.csv"))
    return _text(folder / "curve.csv", [(full.parent, full.name)], RangeTestResult.load_csv)


def record(folder):
    """The record of a run beside its sound history."""
    from utils.records.read import read_record

    place = samples.copy_record(folder)
    return _text(place / "run.json", [(place, "run.json")], lambda path: read_record(path.parent))


def plan(folder):
    """The plan of a run that goes on."""
    from utils.training.run_folder import check_plan, planned_precision

    plan = {"recipe": {"name": "one-cycle", "erase_area": [0.1, 0.2]}, "precision": "float32"}
    check_plan(folder, plan)

    def read(path):
        planned_precision(folder)
        check_plan(folder, plan)

    return _text(folder / "plan.json", [(folder, "plan.json")], read)


def study(folder):
    """The plan of a study."""
    from utils.records.studies import read_study

    place = samples.ROOT / "runs" / "studies" / "decay"
    return _text(folder / "study.json", [(place, "study.json")], lambda path: read_study(folder))


def fault_record(folder):
    """The records of `make faults` and of `make mutants`."""
    from utils.records.faults import read_faults
    from utils.records.mutants import read_mutants

    path = folder / "record.json"

    def read(content):
        path.write_bytes(content)
        (read_mutants if b'"survivors"' in content else read_faults)(path)

    return Target(samples.fault_records(), read)


def notebook(folder):
    """A notebook that is to be executed, up to the start of its first cell."""
    from utils.commands import execute, notebook_run

    class NoKernel(execute.NotebookRun):
        def run(self, log):
            notebook_run.cell_titles(self.nb)
            raise KeyboardInterrupt  # as Ctrl-C: what there is, is written

    execute.NotebookRun = NoKernel
    path = folder / "notebook.ipynb"

    def read(content):
        path.write_bytes(content)
        with contextlib.redirect_stderr(io.StringIO()):
            execute.execute(path, folder / "out")
        sys.stdout.flush()

    return Target(samples.notebooks(), read)


def _text(path, places, read):
    """A target that reads a text file at `path`; the samples lie at (folder, name)."""
    contents = [(folder / name).read_bytes() for folder, name in places]

    def write_and_read(content):
        path.write_bytes(content)
        read(path)

    return Target(contents, write_and_read)


def targets():
    """Dict of name to (share of all inputs, function of a folder that makes the target)."""
    found = {
        "photos": (12, photos),
        "image trees": (8, image_tree),
        "weights": (12, weights),
        "histories": (12, history),
        "range tests": (12, curve),
        "records": (10, record),
        "plans": (8, plan),
        "studies": (8, study),
        "fault records": (4, fault_record),
        "notebooks": (2, notebook),
    }
    for name, edition in samples.editions().items():
        found[f"archives, {name}"] = (5, lambda folder, one=edition: archive(folder, one))
        found[f"batches, {name}"] = (7, lambda folder, one=edition: batch(folder, one))
    return found
