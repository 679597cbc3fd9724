"""HTML pages that load nothing: the executed notebook, the gallery of heatmaps.

May import the modules in `utils/` itself and `data`, `figures`, `model`, `training`, `explain` and
`records`.
"""
