"""Grad-CAM and the proofs of its maps.

May import, beside `settings`, `runtime` and the like: `training` and what is below it.
"""
