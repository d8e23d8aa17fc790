"""The engines: who computes a step, torch by the equations or compiled kernels in one pass."""
