"""Ships the weights of a recorded run: one NumPy archive, checked before it is used.

`weights.npz` holds every weight as float32 under `<layer>/<weight>`, and the constants of the
model's normalization, so that the network can be rebuilt from its record alone, without the
training images. Reading it executes nothing: no pickle, only arrays, and only when the SHA-256 is
that of the record.
"""

import hashlib
import io
from pathlib import Path

import keras
import numpy as np

from utils.atomic import replacing
from utils.model.resnet import resnet_v2
from utils.records.choose import reported_record
from utils.records.read import read_records

NORMALIZATION = "normalize"  # name of the layer whose mean and variance are constants
RESTORE = (
    "restore the file from version control, or save it again with "
    "utils.records.weights.save_weights"
)


def weight_arrays(model):
    """All weights of a model by name.

    Args:
        model: `keras.Model` whose layers have distinct names.

    Returns:
        Dict of `"<layer>/<weight>"` to float32 arrays, in the order of the layers.
    """
    return {
        f"{layer.name}/{weight.name}": keras.ops.convert_to_numpy(weight).astype("float32")
        for layer in model.layers
        for weight in layer.weights
    }


def save_weights(model, path):
    """Writes the weights and the normalization of a network, all or nothing.

    Args:
        model: `keras.Model` from `utils.model.resnet.resnet_v2`.
        path: file to write.

    Returns:
        Dict for the run's record: `file` (name), `sha256` and `bytes`.
    """
    path = Path(path)
    arrays = weight_arrays(model)
    layer = model.get_layer(NORMALIZATION)
    for name in ("mean", "variance"):
        constant = keras.ops.convert_to_numpy(getattr(layer, name)).astype("float32")
        arrays[f"{NORMALIZATION}/{name}"] = constant.squeeze()  # (3,) or (32, 32, 3)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    content = path.read_bytes()
    return {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }


def read_weights(path, sha256):
    """Reads an archive of weights whose content is known.

    Args:
        path: file written by `save_weights`.
        sha256: str, 64 hexadecimal digits, the hash of the whole file.

    Returns:
        Dict of name to array.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the hash is another, naming both, or the file is no such archive.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {RESTORE}.")
    content = path.read_bytes()  # once: what is judged is what is loaded
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} has SHA-256 {found}, but its record says {sha256}: the file is damaged or "
            f"belongs to another run; {RESTORE}."
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(f"{path} is no archive of arrays ({error}); {RESTORE}.") from None


def assign_weights(model, arrays):
    """Gives a model its weights; changes nothing unless all of them fit.

    Args:
        model: `keras.Model`.
        arrays: dict of `"<layer>/<weight>"` to arrays; further names are ignored if they belong to
            the normalization.

    Raises:
        ValueError: when names or shapes do not fit, naming both sides.
    """
    expected = weight_arrays(model)
    given = {name for name in arrays if not name.startswith(f"{NORMALIZATION}/")}
    missing, unknown = sorted(expected.keys() - given), sorted(given - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"The weights do not belong to {model.name}, which has {len(expected)} of them: "
            f"{len(missing)} are missing {missing[:3]}, {len(unknown)} are unknown "
            f"{unknown[:3]}; build the network with the depth of the record."
        )
    for name, array in expected.items():
        if arrays[name].shape != array.shape:
            raise ValueError(
                f"The weight {name} has shape {arrays[name].shape}, but {model.name} needs "
                f"{array.shape}; build the network with the settings of the record."
            )
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(arrays[f"{layer.name}/{weight.name}"])


def shipped_record(folder):
    """The record whose weights explain CIFAR-10: the reported one of those that ship them.

    Args:
        folder: path of `runs/`.

    Returns:
        `utils.records.read.Record`, or None where no network that was measured on CIFAR-10's test
        set ships weights.

    Raises:
        ValueError: when a record in the folder is unsound.
    """
    records = [
        record
        for record in read_records(folder)
        if record.ships_weights and record.on_cifar10 and record.on_test_set
    ]
    return reported_record(records) if records else None


def load_trained(record, dtype="float32"):
    """Rebuilds the network of a record with its trained weights, to evaluate and to explain.

    Args:
        record: `utils.records.read.Record` that ships its weights.
        dtype: Keras dtype policy of the layers.

    Returns:
        `keras.Model`: uint8 pixels (n, 32, 32, 3) to float32 logits (n, classes), not compiled,
        without augmentation and without L2 penalty.

    Raises:
        FileNotFoundError, ValueError: when file, hash, names or shapes do not fit the record.
    """
    if "weights" not in record.run:
        raise ValueError(
            f"The record {record.name} has no weights; take one that has, see "
            f"utils.records.weights.shipped_record, or train it with utils.commands.run_recipe."
        )
    arrays = read_weights(record.weights_path, record.run["weights"]["sha256"])
    try:
        mean, variance = (arrays[f"{NORMALIZATION}/{name}"] for name in ("mean", "variance"))
        classes = len(arrays["logits/bias"])
    except KeyError as error:
        raise ValueError(f"{record.weights_path} lacks {error}; {RESTORE}.") from None
    model = resnet_v2(
        record.run["recipe"]["depth"],
        num_classes=classes,
        mean=mean,
        std=np.sqrt(variance.astype("float64")),
        bn_momentum=record.run["recipe"]["bn_momentum"],
        dtype=dtype,
    )
    assign_weights(model, arrays)
    return model
