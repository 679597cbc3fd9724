"""Names that are nearly right: which are taken, which are offered, and what else is said."""

import os

import pytest

from utils.data.lookup import find_path, hints


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The present folder, with a photo in it."""
    folder = tmp_path / "course"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos/cat.jpg").write_bytes(b"x")
    monkeypatch.chdir(folder)
    return folder


def add(folder, name):
    (folder / name).write_bytes(b"x")
    return name


@pytest.mark.parametrize(
    ("there", "typed"),
    [
        ("photos/dog.jpg", r"photos\dog.jpg"),
        ("photos/dog.jpg", r".\photos\dog.jpg"),
        ("photos/dog (1).jpg", r"photos/dog\ \(1\).jpg"),
        ("photos/dog.jpg ", "photos/dog.jpg"),
        (" dog.jpg", "dog.jpg"),
        # macOS: a narrow blank before AM, and accents apart from their letters
        ("at 9.41.00\u202fAM.png", "at 9.41.00 AM.png"),
        ("Ka\u0308tzchen.png", "K\u00e4tzchen.png"),
        ("K\u00e4tzchen.png", "Ka\u0308tzchen.png"),
    ],
)
def test_a_name_that_looks_the_same_is_found(here, there, typed):
    assert find_path(typed) is None
    add(here, there)
    assert str(find_path(typed)) == there


def test_a_whole_path_is_found_as_well(here):
    add(here, "dog.jpg ")
    assert find_path(f"{here}/dog.jpg") == here / "dog.jpg "


def test_a_name_that_is_there_goes_before_one_that_looks_the_same(here):
    add(here, "dog.jpg ")
    add(here, "dog.jpg")
    add(here, r"a\b.jpg")
    os.mkdir("a")
    add(here, "a/b.jpg")
    assert str(find_path("dog.jpg")) == "dog.jpg"
    assert str(find_path(r"a\b.jpg")) == r"a\b.jpg"


def test_of_two_names_that_look_the_same_none_is_guessed(here):
    add(here, "dog.jpg ")
    add(here, " dog.jpg")
    assert find_path("dog.jpg") is None


@pytest.mark.parametrize(
    "typed",
    ["photos/cat.JPG", "Photos/cat.jpg", "photos/cat.jpeg", "photos/cats.jpg", "photo/cat.jpg"],
)
def test_the_nearest_name_is_offered_and_not_taken(here, typed):
    if find_path(typed):
        pytest.skip("letters of both cases are the same on this file system")
    assert hints(typed) == "Is photos/cat.jpg meant? "
    assert find_path("photos/cat.jpg")  # what the hint advises helps


def test_a_file_in_the_folder_above_is_offered(here):
    add(here.parent, "uploaded.jpg")  # Colab uploads beside the course, not into it
    assert hints("uploaded.jpg") == f"Is {here.parent}/uploaded.jpg meant? "


def test_a_file_in_a_folder_below_is_offered(here):
    assert hints("cat.jpg") == f"Is {here}/photos/cat.jpg meant? "
    assert find_path(f"{here}/photos/cat.jpg")


def test_paths_of_other_machines_and_of_a_drive_that_is_not_there(here):
    for typed in (r"C:\Users\me\dog.jpg", "D:/dog.jpg", r"\\server\share\dog.jpg"):
        assert "Windows computer" in hints(typed) and "upload the file" in hints(typed)
    assert "drive.mount('/content/drive')" in hints("/content/drive/MyDrive/dog.jpg")
    assert hints("www.a.org/cat.jpg") == "Is https://www.a.org/cat.jpg meant? "
    assert hints("nothing/like/this") == ""


@pytest.mark.parametrize("typed", ["", "x" * 10_000, "photos/" + "y" * 300, "photos/cat.jpg/more"])
def test_what_names_nothing_is_no_file(here, typed):
    assert find_path(typed) is None and hints(typed) == ""


def test_a_link_that_leads_nowhere_is_there(here):
    os.symlink(here / "gone", here / "link")
    assert str(find_path("link")) == "link"
