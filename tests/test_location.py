"""What users paste where a path or an address is asked for."""

import argparse
from pathlib import Path

import pytest

from utils.location import clean_location, is_address, path_argument, shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("photos/cat.jpg", "photos/cat.jpg"),
        (Path("photos/cat.jpg"), "photos/cat.jpg"),
        (" cat.jpg\r\n", "cat.jpg"),
        ('"cat.jpg"', "cat.jpg"),
        (" ' my cat.jpg ' ", "my cat.jpg"),
        ("\u201ccat.jpg\u201d", "cat.jpg"),
        ("<https://example.org/cat.jpg>", "https://example.org/cat.jpg"),
        ("\ufeffcat.jpg", "cat.jpg"),
        ("file:///data/my%20cat.jpg", "/data/my cat.jpg"),
        ("it's a cat.jpg", "it's a cat.jpg"),
        (r"/data/my\ cat.jpg", "/data/my cat.jpg"),
        (r"C:\photos\cat.jpg", r"C:\photos\cat.jpg"),
        ('PHOTO = "cat.jpg"', "cat.jpg"),
        ("PHOTO = r'C:\\photos\\cat.jpg'", r"C:\photos\cat.jpg"),
        ('PHOTO = "cat.jpg"  # @param {type: "string"}', "cat.jpg"),
        ('r"cat.jpg",', "cat.jpg"),
        ("ASSIGNMENT_DATA=/data", "/data"),
        ('DATA = ""', ""),
        ("a=b.jpg", "a=b.jpg"),
        ("\u202aC:/cat.jpg", "C:/cat.jpg"),
        ("file:/data/cat.jpg", "/data/cat.jpg"),
        ("https://a.org/~b/$HOME/a\\ b", "https://a.org/~b/$HOME/a\\ b"),
        ('""', ""),
        (" ", ""),
    ],
)
def test_what_comes_along_is_dropped_and_nothing_else(typed, meant):
    assert clean_location(typed) == meant


@pytest.mark.parametrize(
    "typed",
    ["'~/cat.jpg'", "$HOME/cat.jpg", "${HOME}/cat.jpg", "%USERPROFILE%/cat.jpg", "$MINE/cat.jpg"],
)
def test_a_tilde_and_variables_are_expanded(monkeypatch, typed):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("MINE", "/home/somebody")
    monkeypatch.delenv("USERPROFILE", raising=False)
    assert clean_location(typed) == "/home/somebody/cat.jpg"


@pytest.mark.parametrize("typed", ["100%/cat%20a%20.jpg", "$NOBODY_SET_THIS/a", "5$.jpg"])
def test_what_is_no_variable_stays(typed):
    assert clean_location(typed) == typed


def test_a_swallowed_backslash_is_noticed():
    with pytest.raises(ValueError, match=r"control character '\\n'.*write / instead"):
        clean_location("C:\new.jpg")


@pytest.mark.parametrize("value", [None, 3, ["cat.jpg"], b"cat.jpg"])
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match=f"as text, not {type(value).__name__}"):
        clean_location(value)


@pytest.mark.parametrize(
    "location",
    ["https://a/b", "HTTP://a/b", "ftp://a", "gs://a/b", "data:image/png;base64,AA", "https:/a"],
)
def test_addresses(location):
    assert is_address(location)


@pytest.mark.parametrize(
    "location", ["", "cat.jpg", "/a/b", r"C:\a", "C:/a", "a: b.jpg", "a/b://c"]
)
def test_paths_are_no_addresses(location):
    assert not is_address(location)


def test_a_long_text_is_shown_with_both_ends():
    text = "start" + "x" * 6000 + "end"
    assert len(shown(text)) < 110 and "start" in shown(text) and "end" in shown(text)
    assert shown("short") == "'short'"


def test_a_password_is_never_shown():
    for address in ("https://user:secret@a.org/b@c", "https://user:secret@a.org/" + "x" * 500):
        assert "secret" not in shown(address) and "a.org" in shown(address)
    assert shown("https://a.org/@user/b") == "'https://a.org/@user/b'"


def test_an_option_of_a_command_is_cleaned_as_well(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=path_argument)
    assert parser.parse_args(["--output=~/runs"]).output == Path("/home/somebody/runs")
