"""What the command line and the app share: console, errors, heartbeat, styling, commands."""
