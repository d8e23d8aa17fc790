"""Measures of filters, computed from a matrix of weights by pure functions.

`measures.measure` returns one row per unit, `summary.summarise` shares and medians of a layer.
"""
