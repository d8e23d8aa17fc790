"""The datasets: table, readers, sources, recipes, cache, splits and provenance."""
