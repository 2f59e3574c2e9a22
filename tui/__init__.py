"""The command line and the terminal app. Loads no torch to show something."""
