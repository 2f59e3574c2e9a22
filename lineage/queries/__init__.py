"""Questions about an archive that are longer than a method: each a lease, none of them writes."""
