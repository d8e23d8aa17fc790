"""dae: replicate the denoising-autoencoder experiments of ICML 2008."""

__version__ = "0.1.0"
