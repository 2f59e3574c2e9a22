"""Showing: the command line, and what it prints. Loads no torch to show something."""
