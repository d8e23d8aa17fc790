"""The datasets: table, readers, sources, generators, cache, splits and provenance."""
