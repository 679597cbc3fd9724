"""Precision follows the device; the description names what produced a result."""

import importlib
import io
import shutil
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import keras
import pytest

import utils
from utils import runtime as module
from utils.runtime import (
    choose_precision,
    describe_runtime,
    git_commit,
    output_dir,
    prepare_backend,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("backend", "capability", "flags", "expected"),
    [
        ("jax", (9, 0), "", "mixed_bfloat16"),  # H100
        ("tensorflow", (8, 0), "", "mixed_bfloat16"),  # A100
        ("tensorflow", (7, 5), "", "mixed_float16"),  # T4
        ("tensorflow", (6, 1), "", "float32"),  # GTX 1080
        ("jax", (99, 0), "", "mixed_bfloat16"),  # TPU
        ("tensorflow", None, "avx2 avx512_bf16 fma", "mixed_bfloat16"),
        ("tensorflow", None, "avx2 avx512_bf16x fma", "float32"),
        ("jax", None, "avx512_bf16", "float32"),
        ("tensorflow", None, "", "float32"),
    ],
)
def test_precision_follows_the_device(backend, capability, flags, expected):
    assert choose_precision(backend, capability, flags) == expected


def test_description_names_versions_and_device():
    runtime = describe_runtime()
    assert runtime.keras == keras.__version__
    assert runtime.backend == keras.backend.backend()
    assert runtime.device.startswith("GPU" if runtime.on_gpu else "CPU")
    assert set(runtime.versions()) == {"python", "keras", runtime.backend}
    assert runtime.keras in str(runtime) and runtime.precision in str(runtime)


def test_output_folder_is_created(tmp_path):
    folder = output_dir({"ASSIGNMENT_OUTPUT": str(tmp_path / "a" / "b")})
    assert folder == tmp_path / "a" / "b" and folder.is_dir()
    assert output_dir({"ASSIGNMENT_OUTPUT": f' "{tmp_path}/c d" '}) == tmp_path / "c d"


def test_commit_is_that_of_the_checkout_or_unknown(monkeypatch, tmp_path):
    assert git_commit() == "unknown" or len(git_commit().removesuffix("-dirty")) == 40
    (tmp_path / "utils").mkdir()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "utils" / "runtime.py"))
    assert git_commit() == "unknown"


def test_a_zip_file_knows_its_commit(monkeypatch, tmp_path):
    """As the "Download ZIP" of GitHub, which is `git archive`; also inside another repository."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a checkout")
    inside = tmp_path / "other"
    inside.mkdir()
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=inside, check=True)
    other = ["git", *author, "commit", "-q", "--allow-empty", "-m", "other"]
    subprocess.run(other, cwd=inside, check=True)
    head, files = ["git", "rev-parse", "HEAD"], [".git_archival.txt", "utils/runtime.py"]
    archive = ["git", "archive", "HEAD", *files]
    content = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for name in files:
            (inside / name).parent.mkdir(exist_ok=True)
            (inside / name).write_bytes(tar.extractfile(name).read())
    monkeypatch.setattr(module, "__file__", str(inside / "utils" / "runtime.py"))
    expected = subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert git_commit() == expected.strip()


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (("gpu", "H100", "9.0"), ("GPU (H100)", (9, 0))),
        (("gpu", "MI300", "gfx942"), ("GPU (MI300)", (0, 0))),
        (("tpu", "TPU v5 lite"), ("TPU (TPU v5 lite)", (99, 0))),
    ],
)
def test_jax_devices_are_called_what_they_are(monkeypatch, device, expected):
    names = ("platform", "device_kind", "compute_capability")  # a TPU has no third one
    fake = types.SimpleNamespace(**dict(zip(names, device, strict=False)))
    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(devices=lambda: [fake]))
    assert module._accelerator("jax") == expected


def test_the_backend_is_quiet_unless_asked_to_talk():
    quiet, talking = {}, {"TF_CPP_MIN_LOG_LEVEL": "0"}
    for environ in (quiet, talking):
        prepare_backend(environ, "x86_64")
    assert quiet["TF_CPP_MIN_LOG_LEVEL"] == "3" and talking["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert "TF_CPP_MIN_LOG_LEVEL" not in describe_runtime().settings  # changes no result


def test_settings_that_come_too_late_are_neither_set_nor_told(monkeypatch):
    """Where TensorFlow was imported before `utils` it has read its variables already."""
    monkeypatch.setitem(sys.modules, "tensorflow", sys.modules.get("tensorflow", types))
    for name in module.TENSORFLOW_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    importlib.reload(utils)
    assert describe_runtime().settings == {}
