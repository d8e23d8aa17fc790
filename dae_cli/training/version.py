"""The version of the numerical code, in a module without imports."""

# Increase it whenever the same settings and data give different results than before.
NUMERICS_VERSION = 3
UNRECORDED = 2
"""Version of rows and runs without a recorded version, which are older than the record.

Rows of version 1, which was replaced before any results were published, cannot be mistaken for
version 2, because the digest of their settings is different.
"""
