"""Run records: written, read, checked, and shown in README and notebook.

May import, beside `settings`, `runtime` and the like: `training` and what is below it.
"""
