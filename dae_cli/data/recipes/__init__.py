"""Recipes that regenerate the data sets. A recipe is a function: spec[, MNIST] → Content."""
