"""What is made of an archive: reports, comparisons, verification, export."""
