"""Weights: what genomes mean, the weights of offspring, and the cache of weights that are kept.

All siblings of a generation are made in one pass over the founders (`materialise`,
`materialise_routes`); `cache` keeps files under a quota, named by their hash.
"""
