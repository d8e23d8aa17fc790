"""Corruption, autoencoders, RBMs and the stacked network, with their gradients."""
