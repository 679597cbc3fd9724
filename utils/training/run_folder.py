"""What a training run keeps on disk: its plan, its history and its newest checkpoint.

Every file is written by `utils.atomic`, so that a crash leaves either the old file or the new one.
"""

import hashlib
import json
import re
import warnings

from utils.atomic import replacing, write_text
from utils.training.epoch_log import read_history, write_history

# Epochs, and digits of a hash; without these it is ours, too, but never whole.
_CHECKPOINT = re.compile(r"checkpoint-([0-9]+)(-[0-9a-f]{8})?\.weights\.h5")


def check_plan(folder, plan):
    """Gives a new folder its plan, `plan.json`; refuses a folder with another one.

    Args:
        folder: `pathlib.Path` of an existing folder.
        plan: dict of plain values that decide what the run computes.

    Raises:
        ValueError: when the folder holds a run with another plan.
    """
    path = folder / "plan.json"
    plan = as_json(plan)
    if not path.exists():
        write_json(path, plan)
        return
    found = _read_json(path, dict)
    for key, value in plan.items():
        if found.get(key) != value:
            raise ValueError(
                f"The folder {folder} holds a run with another {key}: {found.get(key)}, now "
                f"{value}. Finish that run, delete the folder, or choose another one."
            )


def planned_precision(folder):
    """Keras dtype policy of the run in `folder`, or None when there is none yet.

    A run goes on in the precision it began with, also on a device that prefers another one.
    """
    path = folder / "plan.json"
    return _read_json(path, dict).get("precision") if path.exists() else None


def restore(model, folder, report=print):
    """Loads the newest whole checkpoint and returns the history up to it.

    A new run is saved as checkpoint 0, so that even a first epoch that is broken off in the middle
    starts again from the same weights. A damaged checkpoint is passed over for the one before it,
    and said to be. An epoch whose line is there but whose checkpoint is not is cut off: it will be
    repeated.

    Args:
        model: `keras.Model` with a built optimizer.
        folder: `pathlib.Path` of the run.
        report: function that takes a line of text.

    Returns:
        List of dicts with the keys of `utils.training.epoch_log.CSV_FIELDS`, one a finished epoch.

    Raises:
        ValueError: when the folder holds only a part of what a run leaves behind, every checkpoint
            is damaged, or the newest whole one does not fit the model and its optimizer.
    """
    path = folder / "history.csv"
    rows = read_history(path) if path.exists() else []
    checkpoints = checkpoints_of(folder)
    if not checkpoints:
        if rows:
            raise ValueError(
                f"{folder} holds the history of a run but no checkpoint to go on from; restore "
                f"the checkpoint or choose another folder."
            )
        checkpoints = [save_checkpoint(model, folder, 0)]
    whole = [checkpoint for checkpoint in checkpoints if _is_whole(checkpoint)]
    if not whole:
        names = ", ".join(checkpoint.name for checkpoint in checkpoints)
        raise ValueError(
            f"{folder}: {names} cannot be used: what is in it does not have the hash that its name "
            f"ends in. Restore a checkpoint, or delete the folder to train anew."
        )
    epoch = _epoch_of(whole[-1])
    if len(rows) < epoch:
        raise ValueError(
            f"{path} has {len(rows)} epochs but the checkpoint stands after epoch {epoch}; "
            f"restore the file or delete the folder to train anew."
        )
    for damaged in checkpoints:
        if _epoch_of(damaged) > epoch:
            report(f"{damaged.name} is damaged; going on from {whole[-1].name}.")
    if len(rows) > epoch:
        rows = rows[:epoch]
        if rows:
            write_history(folder, rows)
        else:  # a history without an epoch is none
            path.unlink()
    with warnings.catch_warnings():
        # Keras would warn and go on, with an optimizer that has forgotten a part of its state.
        warnings.filterwarnings("error", "Skipping variable loading for optimizer")
        try:
            model.load_weights(whole[-1])
        except (UserWarning, ValueError, OSError, KeyError) as problem:
            raise ValueError(
                f"{whole[-1]} does not fit this model and optimizer ({problem}); delete the "
                f"folder {folder} to train anew, or choose another one."
            ) from None
    return rows


def read_starts(folder):
    """The starts of a run, oldest first.

    Args:
        folder: `pathlib.Path` of the run.

    Returns:
        List of dicts as given to `add_start`. A start that was broken off before the end of its
        first epoch stays listed.
    """
    path = folder / "starts.json"
    return _read_json(path, list) if path.exists() else []


def add_start(folder, start):
    """Adds one start of a run to `starts.json`.

    Args:
        folder: `pathlib.Path` of an existing folder.
        start: dict of plain values: `epoch` (the first of this start), `compile_seconds`,
            `device`, `versions`, `settings`, `git_commit`, and `profile` where it is known.
    """
    write_json(folder / "starts.json", [*read_starts(folder), start])


def save_checkpoint(model, folder, epoch):
    """Saves weights and optimizer state after an epoch; keeps the checkpoint before, too.

    The name ends in the first digits of the content's SHA-256, so that a damaged file is told from
    a whole one before it is opened. A crash before it has that name leaves `checkpoint.weights.h5`,
    which nobody reads and the next checkpoint replaces.

    Args:
        model: `keras.Model` with a built optimizer.
        folder: `pathlib.Path` of an existing folder.
        epoch: int >= 0, finished epochs.

    Returns:
        `pathlib.Path` of the checkpoint, `checkpoint-<epoch>-<hash>.weights.h5`.

    Raises:
        OSError: when it cannot be written; the checkpoints that were there are kept.
    """
    plain = folder / "checkpoint.weights.h5"
    with replacing(plain) as temporary:
        _take_room(temporary, [*model.variables, *model.optimizer.variables])
        model.save_weights(temporary, overwrite=True)
    path = folder / f"checkpoint-{epoch:04d}-{_hash_digits(plain)}.weights.h5"
    plain.replace(path)
    others = checkpoints_of(folder)
    before = [other for other in others if _epoch_of(other) < epoch]
    for other in others:
        if other not in (path, *before[-1:]) and other.is_file():
            other.unlink()
    return path


def checkpoints_of(folder):
    """Paths of a run's checkpoints, oldest first; a file with another name is not ours."""
    found = [path for path in folder.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_epoch_of(path), path.name))


def as_json(value):
    """A plain value as it will be when it has been written to a JSON file and read back."""
    return json.loads(json.dumps(value))


def _take_room(path, variables):
    """Fills a file with zeros, a little more than its checkpoint will need.

    A plain write fails with an ordinary error when the disk is full or a quota is reached. HDF5,
    which takes the place of the zeros, would crash the interpreter then (h5py 3.14).
    """
    import keras  # only here: reading a run's folder must not load the backend

    size = sum(keras.ops.convert_to_numpy(variable).nbytes for variable in variables)
    path.write_bytes(bytes(size + 4096 * (len(variables) + 16)))  # HDF5 adds some 1,300 to each


def _epoch_of(checkpoint):
    """Finished epochs, from the name: 3 of `checkpoint-0003-1f2e3d4c.weights.h5`."""
    return int(_CHECKPOINT.fullmatch(checkpoint.name)[1])


def _hash_digits(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def _is_whole(checkpoint):
    """Whether a checkpoint has the content it was written with, which its name tells.

    Keras then opens the file anew, since it loads from nothing but a path;
    `utils.training.folder_lock` keeps other trainings away in between.
    """
    digits = checkpoint.name.split(".")[0].split("-")[-1]
    return checkpoint.is_file() and digits == _hash_digits(checkpoint)


def write_json(path, content):
    """Writes plain values as an indented JSON file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _read_json(path, kind):
    """Reads a JSON file that must hold a dict or a list."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        problem = "" if isinstance(content, kind) else f"it holds a {type(content).__name__}"
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError, too
        problem = str(error)
    if problem:
        raise ValueError(
            f"{path} is no JSON of this program ({problem}): it is damaged. Restore it, delete the "
            f"folder to train anew, or choose another one."
        )
    return content
