"""Fills the templates of HTML pages that lie in this folder; each becomes one file by itself."""

from pathlib import Path

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent


def fill_page(template, **values):
    """Fills a page; its style sheets and scripts are written into it, so that it loads nothing.

    Args:
        template: str, name of a template in this folder.
        **values: for the template. Text is escaped; `markupsafe.Markup` goes in as it is.

    Returns:
        The page, a str. In a template `file("page.css")` stands for the text of that file.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,  # a wrong name is an error, not an empty text
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def file(name):
        return Markup((FOLDER / name).read_text(encoding="utf-8"))

    return environment.get_template(template).render(file=file, **values)
