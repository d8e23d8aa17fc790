"""Figures: sheets of filters, plots and report.html; nothing here knows how they were trained."""
