"""Who becomes a parent and who gets a second look: tournament, racing, shrinkage."""
