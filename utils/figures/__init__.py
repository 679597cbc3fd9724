"""How the figures look: plain arrays in, a figure out.

May import the modules in `utils/` itself and no other wing.
"""
