"""The commands of `dae`, one file each."""
