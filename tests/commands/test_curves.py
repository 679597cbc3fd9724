"""Two logs in one figure."""

from sample_records import write_record

from utils.commands import curves
from utils.records.read import ROOT, SUBMISSION


def test_two_logs_in_one_figure(tmp_path, monkeypatch, capsys):
    drawn = []
    true = curves.plot_history
    monkeypatch.setattr(curves, "plot_history", lambda *all: drawn.append(all) or true(*all))
    folder = write_record(tmp_path / "run")
    path = tmp_path / "new" / "two.png"
    submission = ROOT / "runs" / SUBMISSION
    assert curves.main([str(folder), str(submission), "--output", str(path)]) == 0
    assert path.stat().st_size > 5_000
    assert str(path) in capsys.readouterr().out
    [(history, others)] = drawn
    assert len(history) == 3 and {name: len(rows) for name, rows in others.items()} == {
        SUBMISSION: 50
    }


def test_a_missing_record_is_named(tmp_path, capsys):
    folder = write_record(tmp_path / "run")
    path = tmp_path / "two.png"
    assert curves.main([str(folder), str(tmp_path / "none"), "--output", str(path)]) == 1
    assert "none/run.json is missing" in capsys.readouterr().err
    assert not path.exists()
