"""Experiment files: schema, strict reading, overrides, names."""
