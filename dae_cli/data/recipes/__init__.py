"""Recipes: how each set is drawn anew. A recipe is a function: spec[, digits] → Content."""
