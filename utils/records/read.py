"""Reads run records.

A record is a folder `runs/<name>/` with `history.csv` (a row an epoch), `run.json`, and for a run
that is shipped `weights.npz`. `utils.records.write` writes it; README and notebook print only what
is read here.
"""

import dataclasses
import json
from pathlib import Path

from utils.records.benchmarks import BENCHMARKS
from utils.records.check import check_agreement, check_fields
from utils.records.choose import reported_record
from utils.settings import RECIPES
from utils.training.epoch_log import REDO, read_history
from utils.training.run_folder import as_json

ROOT = Path(__file__).resolve().parents[2]
SUBMISSION = "2019-submission"
FAULTS = "faults"  # a folder of runs/ without runs, see utils.records.faults
STUDIES = "studies"  # a folder of runs/ whose runs belong together, see utils.records.studies
WEIGHTS_FILE = "weights.npz"
RANGE_TEST_FILE = "range_test.csv"  # a range test of the run's network, or of a study
# Figures of a run: of its network, see utils.commands.heatmaps; of its record, see
# utils.records.drawings.
HEADLINE_FILE = "headline.png"  # in the folder of the runs
HEATMAPS_FILE, FIRST_LOOK_FILE = "gradcam.png", "first_look.png"
CURVES_FILE, RANGE_FIGURE = "curves.png", "range_test.png"


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as it was recorded.

    Attributes:
        folder: `pathlib.Path` of the record.
        run: dict, the content of run.json.
        history: list of dicts, keys `utils.training.epoch_log.CSV_FIELDS`, one an epoch.
    """

    folder: Path
    run: dict
    history: list

    @property
    def name(self):
        return self.run["name"]

    @property
    def model(self):
        return f"ResNet{self.run['recipe']['depth']}v2"

    @property
    def is_transcribed(self):
        """Whether the record was copied from another source, as that of 2019 was."""
        return bool(self.run.get("source"))

    @property
    def is_full_run_of_ours(self):
        """Whether this repository trained an unchanged recipe on all of CIFAR-10."""
        return self.run["full_result"] and not self.is_transcribed

    @property
    def on_test_set(self):
        return self.run["data"]["validation"].startswith("test set")

    @property
    def on_cifar10(self):
        return self.run["data"]["source"].startswith("CIFAR-10")

    @property
    def on_compressed_copy(self):
        """Whether the images were JPEG files, whose compression loses detail."""
        return "JPEG" in self.run["data"]["source"]

    @property
    def weights_path(self):
        """`pathlib.Path` where the trained weights lie if they are shipped."""
        return self.folder / WEIGHTS_FILE

    @property
    def ships_weights(self):
        """Whether the trained weights lie beside the record; see `utils.records.weights`."""
        return "weights" in self.run and self.weights_path.is_file()

    @property
    def of_todays_recipe(self):
        """Whether the run had the settings that its recipe has now; else it repeats no more."""
        recipe = RECIPES.get(self.run["recipe"]["name"])
        return recipe is not None and self.run["recipe"] == as_json(dataclasses.asdict(recipe))

    @property
    def devices(self):
        """What the run was trained on, one device for each start, without repetition."""
        starts = self.run.get("starts") or [self.run]
        return list(dict.fromkeys(start["device"] for start in starts))

    @property
    def label(self):
        """What the run is, so that no number is taken for more than it is."""
        recipe = self.run["recipe"]["name"]
        if self.is_transcribed:
            return "transcribed from its log"
        if self.run["full_result"]:
            former = "" if self.of_todays_recipe else " in an earlier form"
            what = "the recipe of 2019" if recipe == "seed-2019" else f"{recipe}, the full recipe"
            return f"{what}{former}"
        kind = self.run["device"].split()[0]  # "CPU" of "CPU (AMD EPYC, 2 cores)"
        place = "" if self.on_test_set else f"; measured on {self.run['data']['validation']}"
        return f"{recipe}; {self.run['profile']} profile, {kind}: not the full result{place}"


def read_record(folder):
    """Reads a run record and refuses one that is incomplete or contradicts itself.

    Args:
        folder: path of `runs/<name>`.

    Returns:
        `Record`.

    Raises:
        ValueError: naming file, field, value and what to do.
    """
    folder = Path(folder).resolve()
    path, history_path = folder / "run.json", folder / "history.csv"
    for needed in (path, history_path):
        if not needed.is_file():
            raise ValueError(
                f"{needed} is missing, so {folder} is no complete record; finish the run (start "
                f"it again, it resumes) or remove the folder."
            )
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError, too
        raise ValueError(f"{path} is not valid JSON ({error}); {REDO}.") from None
    check_fields(run, path)
    record = Record(folder, run, read_history(history_path))
    try:
        check_agreement(record)
    except (TypeError, KeyError, AttributeError) as error:  # a word where a number should be
        raise ValueError(f"{path}: a value has the wrong kind ({error!r}); {REDO}.") from None
    return record


def read_records(folder=ROOT / "runs"):
    """Reads all records, the submission of 2019 first, then the reported run, then by name.

    Args:
        folder: path of `runs/`.

    Returns:
        List of `Record`. The folders of studies, benchmarks and faults are passed over, and an
        unfinished run (`plan.json`, but no `run.json`), too.

    Raises:
        ValueError: when a folder in it is no sound record.
    """
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    folders = [path for path in folders if path.name not in (STUDIES, BENCHMARKS, FAULTS)]
    # A run that is under way has a plan and no record yet.
    folders = [
        path
        for path in folders
        if (path / "run.json").exists() or not (path / "plan.json").exists()
    ]
    records = [read_record(path) for path in folders]
    if not records:
        return []
    reported = reported_record(records)
    return sorted(
        records, key=lambda record: (record.name != SUBMISSION, record != reported, record.name)
    )
