"""REPORT.md, report.html and their pictures."""
