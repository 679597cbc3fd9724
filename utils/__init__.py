"""The modules behind Assignment4B.ipynb; importing any of them prepares the backend's settings."""

import sys

from utils.runtime import prepare_backend

# The backend reads them while it is imported: afterwards they would be told, but not used.
if "tensorflow" not in sys.modules:
    prepare_backend()
