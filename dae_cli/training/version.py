"""The version of the numerics, apart from the code that computes so that it imports nothing."""

# Raised whenever the same config and data would give other numbers than before.
NUMERICS_VERSION = 2
