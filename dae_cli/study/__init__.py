"""A study: its cells, running them, the table, the verdicts and the report."""
