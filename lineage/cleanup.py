"""Cleaning up so that the first error is the one that is heard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def afterwards(clean: Callable[[], object]) -> Iterator[None]:
    """Clean up when a block ends. If the block failed, its error is raised, whatever follows it.

    What fails in cleaning up after an error mostly fails because of it (a transaction is aborted, a
    disk is full), and says nothing of what went wrong; it is left as a note on the first error.
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
