"""Errors of tasks."""


class TaskError(Exception):
    """A task cannot be used; the message names the file, the line and what was expected."""
