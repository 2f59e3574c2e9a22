"""Memory: the archive of every model ever born, and its ancestry. Knows nothing of torch."""

from lineage.archive import Archive
from lineage.errors import ArchiveBusyError, ArchiveError, ArchiveFullError

__all__ = ["Archive", "ArchiveBusyError", "ArchiveError", "ArchiveFullError"]
