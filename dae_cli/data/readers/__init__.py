"""Readers: one file per format, each gives the canonical content of a set."""
