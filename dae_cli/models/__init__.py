"""The mathematics: corruption, autoencoder, stacked network, each with its gradient."""
