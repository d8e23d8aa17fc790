"""The classifiers that the published tables compare with: support vector machines."""
