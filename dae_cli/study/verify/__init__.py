"""A study's results against what comes out when they are made and counted again."""
