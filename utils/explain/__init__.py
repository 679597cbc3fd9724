"""Grad-CAM and the proofs of its maps.

May import the modules in `utils/` itself and `data`, `figures`, `model` and `training`.
"""
