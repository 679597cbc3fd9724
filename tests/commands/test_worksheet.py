"""The figures of the worksheet are those that the code draws, and the page describes them."""

import re

import numpy as np
import pytest

from utils.commands import worksheet
from utils.figures.schedule import plot_schedule
from utils.figures.style import figure_svg
from utils.records.read import ROOT

PAGE = (ROOT / "Assignment4A.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figures():
    return worksheet.worksheet_figures()


def drawing(svg):
    """Texts of an SVG file, which stand beside their letters, and places on each path.

    Another version of Matplotlib may move all by a hair, and take other corners of a curve, so the
    places lie at equal distances along the path.
    """
    shapes = re.sub(r"<defs>.*?</defs>", "", svg, flags=re.DOTALL)  # letters and marks
    paths = [re.findall(r"-?\d+\.?\d*", path) for path in re.findall(r' d="([^"]*)"', shapes)]
    return re.findall(r"<!-- (.*?) -->", svg), [places(np.array(one, float)) for one in paths]


def places(numbers, count=200):
    points = numbers.reshape(-1, 2)
    way = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    along = np.linspace(0, way[-1], count)
    return np.stack([np.interp(along, way, axis) for axis in points.T])


def differences(old, new):
    (old_texts, old_paths), (new_texts, new_paths) = drawing(old), drawing(new)
    if old_texts != new_texts or len(old_paths) != len(new_paths):
        return ["other texts or other shapes"]
    gaps = [np.abs(a - b).max() for a, b in zip(old_paths, new_paths)]
    return [f"a shape lies {gap:.1f} points elsewhere" for gap in gaps if gap > 2]


def test_the_committed_figures_come_from_the_code(figures):
    folder = ROOT / worksheet.FOLDER
    assert sorted(path.name for path in folder.iterdir()) == sorted(figures)
    for name, figure in figures.items():
        old, new = (folder / name).read_text(encoding="utf-8"), figure_svg(figure)
        assert drawing(new)[0] and drawing(new)[1]
        assert differences(old, new) == [], "run: python -m utils.commands.worksheet"


def test_another_number_or_another_curve_is_noticed():
    steps = np.arange(100)
    draw = [
        figure_svg(plot_schedule(rate, 0.9 + 0 * steps, 10))
        for rate in (1 - steps / 99, 1 - (steps / 99) ** 2, 1.1 - steps / 99)
    ]
    assert differences(draw[0], draw[0]) == []
    assert differences(draw[0], draw[1]) and differences(draw[0], draw[2])


def test_the_page_shows_each_figure_with_its_description(figures):
    shown = dict(map(reversed, re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", PAGE)))
    expected = {f"{worksheet.FOLDER}/{name}": one.description for name, one in figures.items()}
    assert shown == expected


def small_figure():
    return plot_schedule(np.linspace(0, 1, 20), np.full(20, 0.9), 10)


def test_a_file_repeats_to_the_letter_and_names_no_date_and_no_version():
    svg = figure_svg(small_figure())
    assert svg == figure_svg(small_figure())
    assert "<dc:date>" not in svg and "Matplotlib v" not in svg


def test_the_command_draws_all_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(worksheet, "worksheet_figures", lambda: {"one.svg": small_figure()})
    assert worksheet.main([], tmp_path) == 0
    assert (tmp_path / worksheet.FOLDER / "one.svg").read_text() == figure_svg(small_figure())
    assert capsys.readouterr().out == "drawn: figures/one.svg\n"
