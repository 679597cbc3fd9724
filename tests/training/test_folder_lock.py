"""One training at a time in a folder, where the system has locks."""

import os
import sys
from unittest.mock import Mock

import pytest

from utils.training.folder_lock import locked


@pytest.mark.skipif(os.name == "nt", reason="Windows has other locks")
def test_a_folder_is_one_trainings_until_it_ends(tmp_path):
    with locked(tmp_path):
        with pytest.raises(ValueError, match="Another training is under way in .*other kernel"):
            with locked(tmp_path):
                pass
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_without_locks_a_training_runs_all_the_same(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError("not supported")))
    with locked(tmp_path):
        pass
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with pytest.raises(KeyError) as caught, locked(tmp_path):
        raise KeyError("of the training")
    assert caught.value.__context__ is None  # nothing about the lock above it
