"""Weights on disk beside an archive: a cache under a quota, and bringing fossils back into it."""
