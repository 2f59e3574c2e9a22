"""Analysis of an archive: report, comparison, verification, export, recommendation."""
