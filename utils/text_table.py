"""Plain text that reads the same in a terminal, in a notebook and in a file."""

from textwrap import fill

from tabulate import tabulate


def align_columns(rows):
    """Aligns the cells of a table: the first column on the left, as names are read, the others,
    as numbers are compared, on the right.

    Args:
        rows: list of equally long sequences of str, the heading first.

    Returns:
        str, a line for each row, columns two spaces apart, no spaces at line ends.
    """
    text_only = {"disable_numparse": True, "stralign": "right"}
    return tabulate(rows, tablefmt="plain", colalign=("left",), **text_only)


def fold_lines(sentence, width=92):
    """Breaks a sentence into lines of at most `width` characters, between words only."""
    return fill(sentence, width, break_long_words=False, break_on_hyphens=False)
