"""The archive: records in and out, generations written whole, forks and unions."""
