"""Who descends from whom: a networkx graph, sparse arrays for a million models, kinship."""
