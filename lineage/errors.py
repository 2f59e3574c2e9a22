"""Errors of archives; their messages say what to do."""


class ArchiveError(Exception):
    """An archive cannot be read or written; the message says why and what to do."""


class ArchiveBusyError(ArchiveError):
    """Another process holds the archive and did not let go in time."""


class ArchiveFullError(ArchiveError):
    """The disk under the archive has no room left."""


class CommandError(ArchiveError):
    """A command makes no sense at present; the message says why, and nothing was written."""
