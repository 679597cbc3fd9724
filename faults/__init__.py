"""Fault tests too slow for `make test`: kills, repeats, torn files, no room, hostile input.

`make faults` runs them all. What counts as survived differs from group to group: each module says
it at its head, `utils.records.faults` in short. They are a command and no pytest files, because
their result is a number: how many tries of each fault were survived. The tries are drawn from a
seed, go on after one that was not survived, and some of them end a process; the table is kept as a
record.
"""
