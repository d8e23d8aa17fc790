"""Runs side by side: processes here, or the workers of a Dask cluster."""
