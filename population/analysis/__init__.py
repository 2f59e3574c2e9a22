"""What is made of an archive: report, comparison, verification, export, recommendation."""
