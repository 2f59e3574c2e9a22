"""The command line: a file for each group of commands, with the tables that they print.

`main` is the entry point and lists the groups. A command parses, calls and prints; it imports what
it needs inside, so that none waits for what it does not use.
"""
