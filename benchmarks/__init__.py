"""Benchmarks: how long the real path takes on big histories. Run with `make bench`."""
