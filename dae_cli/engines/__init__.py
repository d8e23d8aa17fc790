"""The engines: the same equations, multiplied by torch, by BLAS, or by kernels compiled here."""
