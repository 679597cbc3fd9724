"""Stands in for `google.colab.files`, which hands files to the browser."""

import os


def download(filename):
    """Prints what the browser would save; raises FileNotFoundError as Colab does."""
    if not os.path.exists(filename):
        raise FileNotFoundError(f"Cannot find file: {filename}")
    print(f"downloaded {filename}")
