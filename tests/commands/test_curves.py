"""Two logs in one figure."""

from sample_records import write_record

from utils.commands import curves
from utils.records.read import ROOT, SUBMISSION


def test_the_figure_lies_beside_the_record(tmp_path, monkeypatch, capsys):
    drawn = []
    true = curves.plot_history
    monkeypatch.setattr(curves, "plot_history", lambda *all: drawn.append(all) or true(*all))
    folder = write_record(tmp_path / "run")
    assert curves.main([str(folder), str(ROOT / "runs" / SUBMISSION)]) == 0
    assert (folder / "curves.png").stat().st_size > 5_000
    assert str(folder / "curves.png") in capsys.readouterr().out
    [(history, others)] = drawn
    assert len(history) == 3 and {name: len(rows) for name, rows in others.items()} == {
        SUBMISSION: 50
    }


def test_a_missing_record_is_named(tmp_path, capsys):
    folder = write_record(tmp_path / "run")
    assert curves.main([str(folder), str(tmp_path / "none")]) == 1
    assert "none/run.json is missing" in capsys.readouterr().err
    assert not (folder / "curves.png").exists()
