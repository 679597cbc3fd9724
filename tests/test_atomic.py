import errno
import os

import pytest

from utils.atomic import replacing, write_text


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        true = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, f=true: (calls.append(n), f(*a)))
    with replacing(tmp_path / "state.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5") and temporary.parent == tmp_path
        temporary.write_bytes(b"content")
    assert calls == ["fsync", "replace"]
    assert [path.name for path in tmp_path.iterdir()] == ["state.weights.h5"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failed_write_names_the_file_and_keeps_the_old_one(tmp_path, code):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(OSError, match=f"cannot write {path}: .*is kept") as caught:
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise OSError(code, os.strerror(code))  # as a failed write: it names no file
    assert caught.value.errno == code
    assert ("Make room on the disk" in str(caught.value)) == (code != errno.EIO)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot write .*nowhere"):
        write_text(tmp_path / "nowhere" / "file", "text")
