"""What the command line and the screen share: consoles, the live file, tables."""
