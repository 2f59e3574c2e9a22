"""A campaign on language models: its loop, state, items, scoring and commits."""
