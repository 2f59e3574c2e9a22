"""Selection of parents (tournament, attraction) and of finalists (shrinkage, racing)."""
