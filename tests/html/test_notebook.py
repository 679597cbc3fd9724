"""The notebook as one HTML page: what is in it, and how it behaves in a real browser."""

import base64
import io
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import nbformat
import pytest
from bs4 import BeautifulSoup
from headless_browser import open_browser
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from utils.figures.style import STYLE, make_figure
from utils.html.notebook import standalone_html

ROOT = Path(__file__).resolve().parents[2]
HEADINGS = [f"{number}. Part & <b>{number}</b>" for number in range(1, 6)]


def picture_cell(*formats):
    """A cell whose output is a figure of ours, as Jupyter stores it."""
    with matplotlib.rc_context(STYLE):
        figure, _ = make_figure(2, 'A "wide" figure', photographic="image/jpeg" in formats)
    content, metadata = figure._repr_jpeg_() or figure._repr_png_()
    (kind,) = formats
    data = {kind: base64.b64encode(content).decode()}
    output = new_output("execute_result", data, metadata={kind: metadata}, execution_count=1)
    return new_code_cell("draw()", outputs=[output])


def sample():
    table = "| " + " | ".join(["a long column"] * 9) + " |\n" + "| --- " * 9 + "|\n"
    table += "| 1.2345 " * 9 + "|"
    log = new_output("stream", name="stdout", text="epoch " + "0.1234 " * 40 + "\nend\n")
    cells = [new_markdown_cell("# A short *course*\n\nWords, $x^2$ and `" + "a" * 90 + "`.")]
    for heading in HEADINGS:
        cells.append(new_markdown_cell(f"## {heading}\n\n" + "Words in a line. " * 60))
    cells.append(new_markdown_cell("### Below\n\n" + table + "\n\n    indented = 1"))
    cells += [picture_cell("image/png"), picture_cell("image/jpeg")]
    code = "total = " + " + ".join(["value"] * 40) + "  # a comment\nprint(f'{total:.2f}', None, 3)"
    return new_notebook(cells=[*cells, new_code_cell(code, outputs=[log])])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "sample.html"
    path.write_text(standalone_html(sample(), "sample"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of the committed notebook."""
    notebook = nbformat.read(ROOT / "Assignment4B.ipynb", as_version=4)
    path = tmp_path_factory.mktemp("page") / "whole.html"
    path.write_text(standalone_html(notebook, "Assignment4B", ROOT), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def test_hidden_code_is_folded_and_the_rest_is_not():
    cells = [new_code_cell("seen = 1"), new_code_cell("plumbing = 2")]
    cells[1].metadata["jupyter"] = {"source_hidden": True}
    soup = BeautifulSoup(standalone_html(new_notebook(cells=cells), "x"), "html.parser")
    (folded,) = soup.main("details")
    assert "plumbing" in folded.get_text() and "seen" not in folded.get_text()
    assert not folded.has_attr("open") and "seen" in soup.main.get_text()


def test_formulas_are_drawn_and_code_and_prices_are_not():
    cells = [
        new_markdown_cell("> $$\\alpha = \\frac{1}{Z}$$\n\nWith $a < b_i$, `$x$` costs $5 or $6.")
    ]
    cells += [new_markdown_cell(r"A slip: $x_i_j$."), new_code_cell("price = '$y$'")]
    main = BeautifulSoup(standalone_html(new_notebook(cells=cells), "x"), "html.parser").main
    block, inline = main("math")
    assert (block["display"], inline["display"]) == ("block", "inline")
    assert block.mfrac.get_text() == "1Z" and inline.get_text() == "a<bi"
    assert "With a<bi, $x$ costs $5 or $6." in main.get_text()
    assert "A slip: $x_i_j$." in main.get_text() and "'$y$'" in main.get_text()


def test_every_formula_of_the_notebook_can_be_drawn(whole):
    notebook = nbformat.read(ROOT / "Assignment4B.ipynb", as_version=4)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    main = BeautifulSoup(whole.read_text(encoding="utf-8"), "html.parser").main
    assert len(main("math", display="block")) == text.count("$$") / 2 > 10
    assert "$" not in "".join(part.get_text() for part in main.select(".jp-RenderedMarkdown"))
    assert "\\" not in "".join(drawn.get_text() for drawn in main("math")), "an unknown command"


def test_contents_lead_to_the_headings(path):
    page = path.read_text()
    assert "<title>A short course</title>" in page and '<html lang="en">' in page
    assert page.count("<h1") == 1 and "anchor-link" not in page
    soup = BeautifulSoup(page, "html.parser")
    links = {link.get_text(): unquote(link["href"]) for link in soup.nav("a")}
    assert list(links) == [f"{n}. Part & {n}" for n in range(1, 6)] + ["Below"]
    for text, target in links.items():
        (heading,) = soup.main(id=target.removeprefix("#"))
        assert heading.get_text() == text


def test_figures_bring_their_descriptions(path):
    images = BeautifulSoup(path.read_text(), "html.parser")("img")
    assert [image["alt"] for image in images] == ['A "wide" figure'] * 2


def test_images_beside_the_notebook_are_taken_in(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (2, 2)).save(content, "png")
    (tmp_path / "dot.png").write_bytes(content.getvalue())
    notebook = new_notebook(cells=[new_markdown_cell("![a dot](dot.png)")])
    page = standalone_html(notebook, "dots", tmp_path)
    assert base64.b64encode(content.getvalue()).decode() in page and 'alt="a dot"' in page
    assert "<title>dots</title>" in page and "<nav" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["path", "whole"])
def test_no_request_no_complaint_no_overflow(browser, request, name, scheme):
    path = request.getfixturevalue(name)
    browser.open(path, scheme=scheme)
    for width in (1280, 360):
        browser.resize(width)
        assert browser.overflow() == 0
        images = browser.run("[...document.images].map((i) => [i.naturalWidth, i.width, i.alt])")
        assert images and all(natural == 900 and alt for natural, _, alt in images)
        assert all(shown <= width - 20 for _, shown, _ in images)
    assert browser.requests == [path.as_uri()]
    assert browser.complaints == []


@pytest.mark.parametrize(
    "name, scheme, width",
    [("path", "light", 360), ("path", "dark", 1280), ("whole", "light", 1280)],
)
def test_axe_has_no_serious_finding(browser, request, name, scheme, width):
    browser.open(request.getfixturevalue(name), width, scheme=scheme)
    assert browser.axe() == []


def test_contents_stand_beside_the_text_and_fold_on_a_phone(browser, path):
    is_open = "document.querySelector('nav details').open"
    browser.open(path, 1280)
    assert browser.run(is_open)
    left, right = browser.run(
        "[document.querySelector('nav').getBoundingClientRect().right,"
        " document.querySelector('main').getBoundingClientRect().left]"
    )
    assert left <= right
    browser.open(path, 360)
    assert not browser.run(is_open)
    browser.click("nav summary")
    assert browser.run(is_open)
    browser.click("nav li:nth-child(4) a")
    assert not browser.run(is_open)
    top = browser.run("document.querySelectorAll('h2')[3].getBoundingClientRect().top")
    bar = browser.run("document.querySelector('nav').getBoundingClientRect().bottom")
    assert bar <= top < bar + 60


def test_wide_boxes_scroll_by_keyboard(browser, path):
    browser.open(path, 360)
    boxes = browser.run("document.querySelectorAll('main [tabindex=\"0\"]').length")
    assert boxes == 3  # the table, the code, the log; not "draw()"
    for kind in (".scroll", ".highlight pre[tabindex]", ".jp-OutputArea pre"):
        box = f"document.querySelector('main {kind}')"
        browser.run(f"{box}.focus()")
        for _ in range(3):
            browser.press("ArrowRight")
        browser.wait_for(f"{box}.scrollLeft > 0")
    browser.resize(1280)  # where the table fits
    assert browser.run("document.querySelectorAll('main [tabindex=\"0\"]').length") == 2


def test_the_first_stop_leads_past_the_contents(browser, path):
    browser.open(path)
    browser.press("Tab")
    assert browser.run("document.activeElement.textContent") == "Skip the contents"
    browser.press("Enter")
    browser.wait_for("location.hash === '#main'")
    assert browser.run("document.activeElement.id") == "main"
