"""dae: replicate the denoising-autoencoder experiments of ICML 2008."""

__version__ = "1.0.0"
__all__ = ["StackedDenoisingAutoencoder", "__version__", "load_run"]

# Public names are imported on first use: `import dae_cli` stays quick, and the command removes the
# current folder from the path before it imports anything.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from dae_cli.api.estimator import StackedDenoisingAutoencoder
    from dae_cli.api.run import load_run
else:
    _PUBLIC = {
        "StackedDenoisingAutoencoder": "dae_cli.api.estimator",
        "load_run": "dae_cli.api.run",
    }

    def __getattr__(name):
        """Import a public name on first use."""
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)

    def __dir__():
        """List the public names, for completion."""
        return __all__
