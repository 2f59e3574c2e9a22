"""The command line: a file per group of commands, with the tables that they print."""
