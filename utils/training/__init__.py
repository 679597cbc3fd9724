"""Schedules, range test, training, and what a run leaves on disk.

May import the modules in `utils/` itself and `data`, `figures` and `model`.
"""
