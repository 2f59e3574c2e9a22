"""Cleaning up without hiding the first error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def afterwards(clean: Callable[[], object]) -> Iterator[None]:
    """Clean up when a block ends. If the block failed, its error is raised, whatever follows it.

    An error in cleaning up after another error is mostly caused by it (a transaction is aborted, a
    disk is full), and says nothing about the cause; it becomes a note on the first error.

    Args:
        clean: called when the block ends, with or without an error.

    >>> with afterwards(lambda: print("cleaned up")):
    ...     print("worked")
    worked
    cleaned up
    """
    try:
        yield
    except BaseException as error:
        try:
            clean()
        except Exception as later:  # noqa: BLE001 - whatever it is, it is not what went wrong
            error.add_note(f"and cleaning up after it failed: {later}")
        raise
    clean()
