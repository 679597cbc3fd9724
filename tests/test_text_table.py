from utils.text_table import align_columns, fold_lines


def test_names_stand_on_the_left_and_numbers_on_the_right_without_spaces_at_line_ends():
    rows = [("", "heat", "note"), ("a ring", "1.05", ""), ("disc", "11.5", "x")]
    assert align_columns(rows) == "        heat  note\na ring  1.05\ndisc    11.5     x"


def test_cells_are_printed_as_they_are():
    rows = [("1", "1e5"), ("02", "1,234"), ("3.0", "+0.10")]  # a heading of numbers, too
    assert align_columns(rows) == "1      1e5\n02   1,234\n3.0  +0.10"


def test_lines_are_broken_between_words_only():
    text = "a rather long-winded   sentence\nof word" + "s" * 20
    assert fold_lines(text, 14) == "a rather\nlong-winded\nsentence of\nword" + "s" * 20
