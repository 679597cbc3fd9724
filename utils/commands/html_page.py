"""One HTML page of an executed notebook that can be opened anywhere, also without a network."""

import re

# nbconvert's own page without require.js, MathJax and Mermaid, which it would load from a
# public server whenever the page is opened. Images on other servers give way to their alt text.
STANDALONE_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""
REMOTE_IMAGE = re.compile(r"<img\b[^>]*\bsrc\s*=\s*[\"']?\s*(?:https?:)?//[^>]*>", re.IGNORECASE)
ALT_TEXT = re.compile(r"\balt\s*=\s*\"([^\"]*)\"", re.IGNORECASE)


def standalone_html(notebook, title):
    """One HTML page of a notebook that requests nothing from any server.

    Args:
        notebook: `nbformat.NotebookNode`.
        title: str, the title of the page.

    Returns:
        The page as str.
    """
    from nbconvert import HTMLExporter  # slow to import, needed once, at the end

    exporter = HTMLExporter(raw_template=STANDALONE_TEMPLATE)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return REMOTE_IMAGE.sub(lambda tag: (ALT_TEXT.search(tag[0]) or ["", ""])[1], page)
