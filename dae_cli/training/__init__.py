"""Stochastic gradient descent: pretraining, fine-tuning, early stopping, checkpoints."""
