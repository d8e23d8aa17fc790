"""What notebooks and scripts import, as names of `dae_cli` itself."""
