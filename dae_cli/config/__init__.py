"""Experiment files and studies: schema, strict reader, overrides, names."""
