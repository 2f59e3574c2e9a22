"""Data of the app: snapshots of an archive, the focus, queries, settings; no widgets."""
