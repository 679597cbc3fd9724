"""Where the images come from, and how a training step gets them.

May import, beside `settings`, `runtime` and the like: no other wing.
"""
