"""Finds the numbers in a Markdown text, and compares them with computed ones.

A block (text between two blank lines) that prints numbers begins with a line
`<!-- check:NAME -->`, which no renderer shows. The test has a list of computed numbers for each
NAME; the block must print exactly these, in this order, each correctly rounded to the digits it
has. A block with a number but without a check is an error, so no number escapes.
"""

import re

CHECK = re.compile(r"<!-- check:(\w+) -->\n")
# A minus sign belongs to the number it touches, unless it touches something on its left too.
NUMBER = re.compile(r"(?:(?<![\w)}])[-\u2212]|(?<![\w.]))\d[\d,]*(?:\.\d+)?(?!\w)")
FENCE = re.compile(r"^```(\w*)\n.*?^```$", flags=re.MULTILINE | re.DOTALL)
# Digits that are part of a name, not a quantity; fenced text and code spans are not prose.
NAMES = re.compile(
    # The text of a drawing is its own description, see tests/commands/test_worksheet.py.
    r"!\[[^\]]*\]\(figures/[^)]*\)|ResNet\d+v2|CIFAR-10|Assignment ?\d[AB]|Keras \d|Python 3\.\d+"
    r"|arXiv:[\d.]+|uint8|float\d+|L2|\b2019\b|2019-submission|Colab T4|T4 GPU"
    r"|^#+ (?:Exercise )?\d+\. |<!--.*?-->|\]\([^)]*\)|`[^`\n]*`"
    r"|<https?:[^>]*>|[A-Za-z]_\{?\d\}?",
    flags=re.MULTILINE,
)


def blocks_of(text):
    """Yields (check name or None, block) for each block that is no code fence."""
    text = FENCE.sub(lambda fence: fence[0] if fence[1] == "math" else "", text)
    for block in re.split(r"\n\s*\n", text):
        found = CHECK.search(block)
        yield (found[1] if found else None), NAMES.sub(" ", block)


def numbers_in(block):
    """The numbers of a block as printed, without thousands commas, minus signs as ASCII."""
    tokens = [match[0].rstrip(",") for match in NUMBER.finditer(block)]
    rest = NUMBER.sub("", block)
    assert not re.search(r"\d", rest), f"cannot read all digits of this block:\n{rest}"
    return [token.replace(",", "").replace("\u2212", "-") for token in tokens]


def rounds_to(value, printed):
    """Whether a computed value, rounded to the decimals that are printed, is the printed one."""
    decimals = len(printed.partition(".")[2])
    return abs(float(value) - float(printed)) <= 0.5 * 10.0**-decimals + 1e-12


def mistakes(text, expected):
    """Compares a text with computed numbers.

    Args:
        text: Markdown.
        expected: dict of check name to the list of its numbers.

    Returns:
        List of str, one for each mistake; empty when all numbers are right.
    """
    found, seen = [], set()
    for name, block in blocks_of(text):
        printed = numbers_in(block)
        if name is None:
            if printed:
                found.append(f"numbers {printed} without a check in:\n{block}")
            continue
        seen.add(name)
        values = expected.get(name)
        if values is None:
            found.append(f"there is no check named {name}")
        elif len(values) != len(printed):
            found.append(f"{name}: prints {printed}, computed {list(values)}")
        else:
            found += [
                f"{name}: prints {token}, computed {value}"
                for token, value in zip(printed, values, strict=True)
                if not rounds_to(value, token)
            ]
    return found + [f"the check {name} is not used" for name in expected if name not in seen]


def mutants(text):
    """Yields the text with one digit of one printed number changed, for every number."""
    fences = [fence.span() for fence in FENCE.finditer(text) if fence[1] != "math"]
    inert = fences + [match.span() for match in NAMES.finditer(text)]
    for match in NUMBER.finditer(text):
        start = match.start() + len(match[0].rstrip(",")) - 1
        if any(low <= start < high for low, high in inert):
            continue
        digit = str((int(text[start]) + 1) % 10)
        yield text[:start] + digit + text[start + 1 :]
