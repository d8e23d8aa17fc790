"""`dae data`: the eight sets; what there is of them, getting them, proof of what they are."""
