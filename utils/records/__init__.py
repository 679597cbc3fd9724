"""Records of runs: written, read, checked, shown in README and notebook.

May import the modules in `utils/` itself and `data`, `figures`, `model` and `training`.
"""
