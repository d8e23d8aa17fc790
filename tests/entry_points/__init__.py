"""Everything that tests import from `dae_cli`, one module per area.

Tests use it only if no command and no file shows the same: equations, readers, statistics,
settings. If a package is rewritten, its module here changes, but not the tests.
"""
