"""The modules behind Assignment4B.ipynb; importing any of them prepares the backend's settings."""

from utils.runtime import prepare_backend

prepare_backend()  # before anything imports Keras, and with it the backend
