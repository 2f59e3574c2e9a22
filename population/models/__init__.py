"""Models as they lie on disk: checkpoints, adapters, architectures, blocks, dtypes, sources."""
