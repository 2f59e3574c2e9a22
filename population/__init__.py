"""Making: models, merging, evaluation, evolution, campaigns and their analysis."""
