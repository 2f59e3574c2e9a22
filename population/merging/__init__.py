"""The merge engine: recipes in, checkpoints out."""
