"""The version of the numerics, apart from the code that computes so that it imports nothing."""

# Raised whenever the same config and data would give other numbers than before.
NUMERICS_VERSION = 3
UNRECORDED = 2
"""Version of rows and runs that do not tell theirs: they were written before it was recorded.

Those of version 1, which was replaced before any results were published, have another digest of
their settings than such rows should, so they are never taken for rows of version 2.
"""
