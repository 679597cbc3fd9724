"""Measured comparisons: `make bench` runs them all, README.md says what came of it."""
