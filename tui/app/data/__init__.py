"""What the screen knows: snapshots of an archive, the focus, answers to queries; no widgets."""
