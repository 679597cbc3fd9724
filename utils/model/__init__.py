"""The network and its layers.

May import the modules in `utils/` itself and `data` and `figures`.
"""
