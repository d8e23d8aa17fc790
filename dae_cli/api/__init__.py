"""The Python API for notebooks and scripts, exported by `dae_cli`."""
