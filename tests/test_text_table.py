import pytest

from utils.text_table import align_columns


def test_names_stand_on_the_left_and_numbers_on_the_right_without_spaces_at_line_ends():
    rows = [("", "heat", "note"), ("a ring", "1.05", ""), ("disc", "11.5", "x")]
    assert align_columns(rows) == "        heat  note\na ring  1.05\ndisc    11.5     x"


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        align_columns([("a", "b"), ("c",)])
