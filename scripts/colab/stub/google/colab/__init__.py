"""Stands in for Colab's own package: what the notebook uses of it, and nothing else."""
