"""The datasets: registry, readers, sources, generators, cache, splits and provenance."""
