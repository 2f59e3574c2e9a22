"""Shared by the command line and the app: console, errors, heartbeat, styling, commands."""
