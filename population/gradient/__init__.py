"""Gradient descent on the coefficients of genomes, where scores can be differentiated."""
