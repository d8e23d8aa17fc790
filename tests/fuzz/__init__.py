"""Coverage-guided fuzzing of all that reads files of others; `python -m tests.fuzz --help`."""
