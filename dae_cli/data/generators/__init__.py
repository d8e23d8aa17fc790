"""Generators: one file per set, deterministic to the byte."""
