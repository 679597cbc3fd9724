"""Schedules, range test, training, and what a run leaves on disk.

May import, beside `settings`, `runtime` and the like: `model` and what is below it.
"""
