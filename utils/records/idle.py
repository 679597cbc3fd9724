"""Reads from a benchmark's record whether the machine was idle while it was measured."""

import statistics

# A machine is idle as long as other processes take no more than this part of its processors in a
# row's median pass: a tenth of a core of two, less than passes differ by themselves, and more than
# the 2 % to which the shortest passes can be counted.
IDLE = 0.05


def others(record):
    """What part of the processors other processes took in each pass, 0 to 1.

    Returns:
        Dict of variant to list of floats, without those where nobody counted: another system than
        Linux, or a record from before it was measured.
    """
    rows = record.get("variants") or {"profile": record}
    shares = {name: row.get("others") for name, row in rows.items()}
    return {name: found for name, found in shares.items() if found and None not in found}


def disturbed(record):
    """The variants during which other processes took more than `IDLE`: a list of words."""
    shares = {name: statistics.median(found) for name, found in others(record).items()}
    return [f"{name} ({100 * share:.0f} %)" for name, share in shares.items() if share > IDLE]


def most_by_others(records):
    """Sentence on how idle the machine was in all these records; "" where nobody counted."""
    shares = [share for record in records for found in others(record).values() for share in found]
    if not shares:
        return ""
    median, most = 100 * statistics.median(shares), 100 * max(shares)
    return (
        f"other processes used at most {most:.1f} % of the processors, {median:.1f} % in the "
        "median pass"
    )
