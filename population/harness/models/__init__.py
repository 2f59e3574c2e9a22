"""Models of archives as models of the harness."""
