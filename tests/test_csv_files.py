"""CSV files in general: those that are committed are read and written again byte for byte."""
