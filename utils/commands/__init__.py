"""What a shell starts.

May import the modules in `utils/` itself and every other wing: `data`, `figures`, `model`,
`training`, `explain`, `records` and `html`.
"""
