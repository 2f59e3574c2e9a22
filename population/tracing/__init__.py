"""Tracing: which models a merge was made of, and with which coefficients, from weights alone."""
