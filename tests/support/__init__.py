"""Shared code of tests: the tiny study, commands in this process and in separate ones."""
