"""How the figures look; plain arrays in, a figure out.

May import, beside `settings`, `runtime` and the like: no other wing.
"""
