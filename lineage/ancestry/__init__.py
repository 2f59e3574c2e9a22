"""Ancestry: a networkx graph, sparse arrays for a million models, kinship, survival of lines.

`graph` is the reference and the public form; `sparse` answers the same questions for archives that
are too large for it, and tests compare the two.
"""
