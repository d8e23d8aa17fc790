"""A study that is killed over and over must end as if it had not been: `make torture`."""
