"""Benchmarks of training, compared with plain PyTorch and the machine's limits."""
