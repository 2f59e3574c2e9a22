"""How an archive lies in one DuckDB file: tables, leases, the campaign's lock, atomic files."""
