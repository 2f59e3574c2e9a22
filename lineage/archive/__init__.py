"""The archive: records in and out, writing a generation, integrity, forks, merging archives."""
