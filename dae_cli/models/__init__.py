"""The mathematics: corruption, autoencoder, RBM, stacked network, each with its gradient."""
