"""The live line: on a terminal or in a file, never on another stream, and not too often."""

import gc
import io
import os
import time
import warnings

import pytest

from utils import progress as module
from utils.progress import (
    FileLine,
    Progress,
    TerminalLine,
    format_duration,
    progress,
    watching,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def screen(text):
    """What a terminal shows at the end: a carriage return goes back to the start of the line."""
    line = ""
    for piece in text.split("\r"):
        line = piece + line[len(piece) :]
    return line.rstrip()


def test_a_terminal_shows_the_last_text_only_and_other_streams_nothing():
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        line = TerminalLine(stream)
        line.show("step 100 of 200")
        line.show("step 1")
    assert screen(terminal.getvalue()) == "step 1"
    assert "step 100 of 200" in terminal.getvalue() and pipe.getvalue() == ""


def test_a_text_never_wraps_around(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    TerminalLine(terminal).show("x" * 50)
    assert screen(terminal.getvalue()) == "x" * 19


def test_what_is_printed_stands_on_a_line_of_its_own():
    terminal = Terminal()
    line = TerminalLine(terminal)
    line.show("step 1")
    with line.hidden():
        terminal.write("printed\n")
    line.show("step 2")
    assert screen(terminal.getvalue().split("\n")[0]) == "printed"
    assert screen(terminal.getvalue().split("\n")[1]) == "step 2"


def test_is_shown_a_few_times_a_second_only():
    now, texts = [0.0], []
    line = TerminalLine(Terminal())
    line.show = texts.append
    live = Progress(line, clock=lambda: now[0])
    for step in range(100):
        now[0] = step / 100  # one second
        if live.due():
            live.show(f"step {step}")
    assert texts[0] == "step 0" and 3 <= len(texts) <= 5
    live.clear()
    live.show("the next work")  # at once
    assert texts[-2:] == ["", "the next work"]


def test_work_tells_by_the_file_that_the_environment_names(monkeypatch, tmp_path):
    path, texts = tmp_path / "progress.txt", []
    monkeypatch.setenv(module.VARIABLE, str(path))
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    for item in progress("abc", "letter"):
        texts.append((item, path.read_text().rstrip()))
        if item == "b":
            break
    assert texts == [("a", "letter 1 of 3"), ("b", "letter 2 of 3")]
    assert path.read_text().strip() == ""  # taken away, also when the loop is left early


def test_of_loops_within_each_other_the_outermost_shows_where_it_is(monkeypatch, tmp_path):
    path, texts = tmp_path / "progress.txt", []
    monkeypatch.setenv(module.VARIABLE, str(path))
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    for _ in progress("ab", "map"):
        for _ in progress("xyz", "batch"):
            texts.append(path.read_text().rstrip())
    assert texts == 3 * ["map 1 of 2"] + 3 * ["map 2 of 2"]
    for _ in progress("x", "batch"):  # alone it is the outermost one
        assert path.read_text().rstrip() == "batch 1 of 1"


def test_no_file_is_left_open(monkeypatch, tmp_path):
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "progress.txt"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        assert list(progress("ab", "letter")) == ["a", "b"]
        gc.collect()
    assert not [one for one in caught if "progress.txt" in str(one.message)]
    assert (tmp_path / "progress.txt").exists()


def test_a_file_that_cannot_be_written_stops_no_work(tmp_path):
    FileLine(tmp_path / "no folder" / "progress.txt").show("step 1")


def test_another_process_is_watched_until_the_block_ends(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    terminal, path = Terminal(), tmp_path / "progress.txt"
    with watching(path, TerminalLine(terminal)):
        time.sleep(0.05)  # no file yet
        path.write_text("step 7")
        deadline = time.monotonic() + 20
        while "step 7" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "step 7" in terminal.getvalue() and screen(terminal.getvalue()) == ""


def test_without_a_terminal_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.delenv(module.VARIABLE, raising=False)
    assert list(progress(range(3), "item")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "") and os.environ.get(module.VARIABLE) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3569, "59 min"),
        (3599, "1 h 00 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert format_duration(seconds) == text
