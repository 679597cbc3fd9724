"""The study of peaks: around the proposed one, on held-out images, resumable, drawn."""

from sample_data import noise

from utils.commands import peak_study, run_recipe
from utils.records.read import RANGE_TEST_FILE, read_record
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.lr_curve import RangeTestResult
from utils.training.run_folder import planned_precision


def test_entries_span_two_decades_around_the_proposed_peak():
    entries = peak_study.entries_around(0.1234, RECIPES["one-cycle"])
    peaks = [entry.recipe.max_lr for entry in entries]
    assert peaks == [0.0123, 0.039, 0.123, 0.39, 1.23]
    assert [entry.name for entry in entries] == [f"peak-{peak:g}" for peak in peaks]


def test_command_from_range_test_to_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_recipe, "load_dataset", lambda source: noise(140, 20))
    monkeypatch.setattr(peak_study, "FACTORS", (0.1, 1.0))
    arguments = ["--output", str(tmp_path / "peaks"), "--depth", "11", "--epochs", "2"]
    arguments += ["--batch-size", "16", "--train-images", "60", "--hold-out", "30"]
    preferred = describe_runtime().precision
    begun = "float32" if preferred != "float32" else "mixed_bfloat16"  # as on another machine
    assert peak_study.main([*arguments, "--seeds", "1", "--precision", begun]) == 0
    out = capsys.readouterr().out
    assert "proposed peak" in out and out.count("| peak ") == 2
    folder = tmp_path / "peaks"
    result = RangeTestResult.load_csv(folder / RANGE_TEST_FILE)
    assert f"{result.peak().lr:.3g}" in out
    records = [read_record(path) for path in folder.iterdir() if path.is_dir()]
    assert len(records) == 2
    for record in records:
        assert record.run["data"]["test_images"] == 30 and not record.on_test_set
        assert record.run["precision"] == planned_precision(folder) == begun
    assert (folder / "peaks.png").stat().st_size > 5_000
    assert peak_study.main([*arguments, "--seeds", "1"]) == 0  # repeats nothing
    assert "learning rate  momentum" not in capsys.readouterr().out
    other = [*arguments, "--seeds", "1"]
    other[other.index("--batch-size") + 1] = "20"
    assert peak_study.main(other) == 1  # the range test of another recipe
    assert "recipe" in capsys.readouterr().err


def test_the_test_images_are_no_choice(capsys):
    assert peak_study.main(["--hold-out", "0"]) == 1
    assert capsys.readouterr().err.startswith("error: --hold-out must be at least 1, got 0: ")
