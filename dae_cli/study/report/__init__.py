"""REPORT.md, report.html and their pictures: what is shown of a study, and from where it comes."""
