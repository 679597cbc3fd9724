"""Filling the generated parts of a page."""

import pytest

from utils.records import pages


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated:results -->\n",
        "<!-- /generated:results -->\n",
        "<!-- generated:unknown -->\n<!-- /generated:unknown -->\n",
        "<!-- generated:results -->\n<!-- generated:results -->\n<!-- /generated:results -->\n",
    ],
)
def test_broken_markers_are_refused(text):
    with pytest.raises(ValueError, match="marker"):
        pages.fill_blocks(text, {"results": "x"})


@pytest.mark.parametrize(
    "address", ["course", "https://github.com/a/b", "a/b/c", "a b/c", "/b", '"/x']
)
def test_malformed_address_is_refused(address):
    with pytest.raises(ValueError, match="owner/name"):
        pages.check_repository(address)
