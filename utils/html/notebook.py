"""One HTML page of an executed notebook that can be opened anywhere, also without a network.

nbconvert turns cells into HTML, without the scripts that its own page loads from public servers;
title, contents, style and what a reader without a mouse or with a narrow window needs are added
here. Formulas between dollar signs become MathML, which browsers draw by themselves.
"""

import re

from markupsafe import Markup

from utils.html.template import fill_page

# Cells alone, hidden code folded. Figures bring their descriptions, which nbconvert's own template
# passes over.
CELLS = """{% extends 'lab/base.html.j2' %}
{% macro figure(output, kind) %}
<img src="data:{{ kind }};base64,{{ output.data[kind] | escape_html }}"
{%- set alt = output | get_metadata('alt', kind) %}
{%- if alt is not none %} alt="{{ alt | escape_html }}"{% endif %}>
{% endmacro %}
{% block input %}
{% if cell.metadata.get('jupyter', {}).get('source_hidden') %}
<details><summary>Code</summary>{{ super() }}</details>
{% else %}{{ super() }}{% endif %}
{% endblock %}
{% block data_png %}{{ figure(output, 'image/png') }}{% endblock %}
{% block data_jpg %}{{ figure(output, 'image/jpeg') }}{% endblock %}
"""
# As in Jupyter: between pairs of dollar signs on a line of its own, between single ones in a text,
# where no blank stands beside them, so that prices stay prices.
FORMULA = re.compile(r"\$\$(?P<block>[^$]+)\$\$|\$(?P<inline>[^$\s](?:[^$]*[^$\s])?)\$")
REMOTE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)


def standalone_html(notebook, title, folder="."):
    """One HTML page of a notebook that requests nothing from any server.

    Args:
        notebook: `nbformat.NotebookNode`.
        title: str, the title of the page where the notebook has no heading of the first level.
        folder: path of the notebook's folder; images that its text names are taken from there.

    Returns:
        The page as str. Images on other servers give way to their alternative text.
    """
    from bs4 import BeautifulSoup  # slow to import, needed once, at the end
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(raw_template=CELLS, embed_images=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    cells, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": str(folder)}})
    soup = BeautifulSoup(cells, "html.parser")
    for link in soup.select("a.anchor-link"):  # a mark beside each heading
        link.decompose()
    for image in soup("img"):
        if REMOTE.match(image.get("src", "")):
            image.replace_with(image.get("alt", ""))
    _draw_formulas(soup)
    for table in soup("table"):
        table.wrap(soup.new_tag("div", attrs={"class": "scroll"}))
    headings = [heading for heading in soup(["h1", "h2", "h3"]) if heading.get("id")]
    contents = [
        {"level": heading.name, "id": heading["id"], "text": heading.get_text()}
        for heading in headings
    ]
    titles = [entry["text"] for entry in contents if entry["level"] == "h1"]
    return fill_page(
        "notebook.html.jinja",
        title=titles[0] if titles else title,
        contents=[entry for entry in contents if entry["level"] != "h1"],
        cells=Markup(soup),
    )


def _draw_formulas(soup):
    """Puts MathML in the place of the LaTeX between dollar signs, but for that in code."""
    from bs4 import BeautifulSoup
    from latex2mathml.converter import convert

    texts = soup.select(".jp-RenderedMarkdown")
    for text in [text for part in texts for text in part.find_all(string=FORMULA)]:
        if text.find_parent(["code", "pre"]):
            continue
        pieces, end = [], 0
        for found in FORMULA.finditer(text):
            kind = found.lastgroup
            try:
                drawn = BeautifulSoup(convert(found[kind], display=kind), "html.parser")
            except Exception:  # the converter has many; what it cannot read stays as it is written
                drawn = found[0]
            pieces += [text[end : found.start()], drawn]
            end = found.end()
        text.replace_with(*pieces, text[end:])
