"""Studies on filters: autoencoders trained without labels, looked at and measured."""
