"""Pictures: sheets of filters and plots of errors; nothing here knows how they were trained."""
