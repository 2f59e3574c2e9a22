"""Tasks of the harness as tasks of campaigns."""
