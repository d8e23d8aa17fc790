"""What filters look like, in numbers: pure functions of a matrix of weights.

`measures.measure` gives a row for each unit, `summary.summarise` the shares and medians of a layer.
"""
