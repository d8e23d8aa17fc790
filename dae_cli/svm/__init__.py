"""Support vector machines, the classifiers that the paper's tables compare with."""
