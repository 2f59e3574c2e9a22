"""Storage: an archive as one DuckDB file; tables, leases, campaign lock, atomic files."""
