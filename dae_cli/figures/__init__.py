"""Figures: sheets of filters, plots, and the charts and images of report.html."""
