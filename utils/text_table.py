"""Plain-text tables: they read the same in a terminal, in a notebook and in a file."""


def align_columns(rows):
    """Aligns the cells of a table: the first column on the left, as names are read, the others,
    as numbers are compared, on the right.

    Args:
        rows: list of equally long sequences of str, the heading first.

    Returns:
        str, a line for each row, columns two spaces apart, no spaces at line ends.

    Raises:
        ValueError: if the rows are not equally long.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned]).rstrip())
    return "\n".join(lines)
