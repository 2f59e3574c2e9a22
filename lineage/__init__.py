"""Memory: the archive of every model ever born, and its ancestry. Knows nothing of torch.

`Archive` is imported when it is first asked for: DuckDB and networkx take a quarter of a second to
start, and who only needs the records or the errors should not wait for them.
"""

from typing import TYPE_CHECKING, Any

from lineage.errors import ArchiveBusyError, ArchiveError, ArchiveFullError, CommandError

if TYPE_CHECKING:
    from lineage.archive.archive import Archive

__all__ = ["Archive", "ArchiveBusyError", "ArchiveError", "ArchiveFullError", "CommandError"]


def __getattr__(name: str) -> Any:
    if name == "Archive":
        from lineage.archive.archive import Archive  # noqa: PLC0415 - see the module's docstring

        return Archive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
