"""Coverage-guided fuzzing of all readers of untrusted files; `python -m tests.fuzz --help`."""
