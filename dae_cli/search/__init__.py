"""Hyperparameter search: trials judged on validation rows, shared through a results folder."""
