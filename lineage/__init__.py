"""Memory: the archive of every model ever born, and its ancestry. Never imports torch.

An archive is read by methods that give records, by SQL, and as a networkx graph:

>>> len(archive.models()) == archive.newest_id()  # `archive` is Archive.open("colony.duckdb")
True
>>> champion = archive.find("champion")
>>> champion.living
True
>>> graph = archive.graph(ancestors_of=champion.id)
>>> sorted(graph.predecessors(champion.id)) == sorted(parent.id for parent in champion.parents)
True

`Archive` is imported on first use: DuckDB and networkx take a quarter of a second to start, and a
program that only needs the records or the errors should not wait for them.
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
