"""Benchmarks: run by hand, print JSON, compare with a peer or a physical limit in the same run."""
