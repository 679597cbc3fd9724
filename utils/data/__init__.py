"""Where the images come from, and how a training step gets them.

May import the modules in `utils/` itself and no other wing.
"""
