"""Finds the file or folder that a user means, and says what is nearly it where there is none."""

import difflib
import os
import re
import unicodedata
from pathlib import Path

# How far a name that was typed is from one that is there.
SAME, SAME_LOOK, OTHER_CASE, SIMILAR = range(4)
_MOST_FOLDERS = 100  # looked into
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u202a\u202c\u2060"))


def find_path(location):
    """The file or folder at a location.

    A name counts as found if the one that is there looks the same: accents are stored in two ways,
    macOS writes a narrow blank into the names of screenshots, and blanks at the end of a name are
    lost where it is pasted. `\\` may stand for `/`, and before what a shell would not take as is.

    Args:
        location: str, from `utils.location.clean_location`.

    Returns:
        `pathlib.Path` of what exists, or None.
    """
    if not location:
        return None
    for spelling in _spellings(location):
        path, distance = _nearest(spelling)
        if distance <= SAME_LOOK:
            return path
    return None


def hints(location):
    """What may be meant by a location where nothing lies: sentences, or `""`."""
    if not location:
        return ""
    if re.match(r"[A-Za-z]:[\\/]|\\\\", location) and os.name != "nt":
        return (
            "This is a path of a Windows computer, and the notebook runs on another machine, which "
            "does not see it: upload the file, then give its name here. "
        )
    if re.match(r"(?i)(//)?www\.", location):
        return f"Is https://{location.lstrip('/')} meant? "
    drive = ""
    on_drive = re.search(r"(?i)/content/drive|drive/my ?drive|shareddrives", location)
    if on_drive and not os.path.isdir("/content/drive"):
        drive = (
            "Google Drive is not mounted here; in Colab, from google.colab import drive; "
            "drive.mount('/content/drive') does it. "
        )
    for spelling in _spellings(location):
        path, distance = _nearest(spelling)
        if distance <= SIMILAR:
            return f"{drive}Is {path} meant? "
    path = Path(_spellings(location)[-1])
    folder, *above = path.absolute().parents
    for place in [*above[:3], *_folders_in(folder)]:
        if os.path.exists(place / path.name):
            return f"{drive}Is {place / path.name} meant? "
    return drive


def _folders_in(folder):
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())[:_MOST_FOLDERS]
    except OSError:  # not there, or not to be read
        return []


def _spellings(location):
    """A location as it stands, without a shell's backslashes, and with / in their place."""
    found = [location]
    if "\\" in location:
        found += [re.sub(r"\\([^\w\\/])", r"\1", location), location.replace("\\", "/")]
    return found


def _nearest(location):
    """Follows a path name by name, taking the nearest where one is not there.

    Returns:
        `(path, distance)`: the path that was followed and the largest distance, `SAME` to
        `SIMILAR`; a larger number where nothing is near.
    """
    path = Path(location)
    # Unlike pathlib, os.path takes a name that is too long for one that does not exist.
    if os.path.exists(path):
        return path, SAME
    found, worst = Path(path.anchor), SAME
    for name in path.parts[1:] if path.anchor else path.parts:
        distance = SAME
        if not os.path.lexists(found / name):
            name, distance = _nearest_name(found, name)
        found, worst = found / name, max(worst, distance)
        if worst > SIMILAR:
            break
    return found, worst


def _nearest_name(folder, name):
    """The name in a folder that is nearest to one that is not there, and its distance."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return name, SIMILAR + 1
    for distance, key in ((SAME_LOOK, _look), (OTHER_CASE, lambda one: _look(one).casefold())):
        equal = [one for one in names if key(one) == key(name)]
        if len(equal) == 1:
            return equal[0], distance
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return (close[0], SIMILAR) if close else (name, SIMILAR + 1)


def _look(name):
    """A name as the eye sees it: composed accents, plain blanks, none at its ends."""
    return " ".join(unicodedata.normalize("NFC", name).translate(_UNSEEN).split())
