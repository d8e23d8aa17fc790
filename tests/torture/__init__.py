"""A study that is killed repeatedly must end with the same results: `make torture`."""
