"""The network and its layers.

May import, beside `settings`, `runtime` and the like: `data` and `figures`.
"""
