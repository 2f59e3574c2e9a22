"""What the screen says, as rows of text and plots: pure functions of what is known."""
