"""Compute kernels: numbers in, arrays out; the same code on NumPy and CuPy."""
