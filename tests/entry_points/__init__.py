"""All that tests may import from inside `dae_cli`, one module for each area.

A test reaches for the inside only where no command and no file shows the same: equations, readers,
statistics, settings. When a room is rebuilt, its module here changes, and no test does.
"""
