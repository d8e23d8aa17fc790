"""What filters look like, in numbers: pure functions of a matrix of weights.

`measures.measure` gives one row a unit, `summary.summarise` what a figure's caption says of them.
"""
