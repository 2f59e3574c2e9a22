"""What pages show, as rows of text and plots: pure functions of a snapshot or of an answer."""
