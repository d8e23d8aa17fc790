"""Data sets: their table, sources, readers, recipes, cache, splits and provenance."""
