"""What a shell starts.

May import, beside `settings`, `runtime` and the like: every other wing.
"""
