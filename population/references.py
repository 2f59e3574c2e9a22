"""References to models and files as people type them: `~`, BASE+ADAPTER and glob patterns.

Special signs (`+` joins a base and an adapter, `~` is a home folder, `*`, `?` and `[` match many
names) count only where no file or folder has just that name.
"""

import glob
import os
from pathlib import Path


def expand_user(text: str, folder: Path | None = None) -> str:
    """A path with its leading `~` or `~user` replaced.

    It stays as it is if such a file exists, or no such user.

    Args:
        text: the path.
        folder: what a relative path is relative to; by default the working directory.
    """
    if not text.startswith("~") or exists((folder or Path()) / text):
        return text
    return os.path.expanduser(text)  # noqa: PTH111 - Path's fails for a user that is not there


def exists(path: Path) -> bool:
    """Whether a path exists; False for what no file can be called."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def split_adapter(text: str, folder: Path | None = None) -> tuple[str, str] | None:
    """Split a reference into (BASE, ADAPTER); None if it names one path.

    Of several `+`, the last one at which both parts exist separates them, else the last one at
    which the adapter exists, else the last one.

    Args:
        text: the reference.
        folder: what relative paths are relative to; by default the working directory.
    """
    if _exists_in(text, folder):
        return None
    cuts = [(text[:at], text[at + 1 :]) for at, sign in enumerate(text) if sign == "+"][::-1]
    cuts = [(base, adapter) for base, adapter in cuts if base and adapter]
    with_adapter = [cut for cut in cuts if _exists_in(cut[1], folder)]
    with_both = [cut for cut in with_adapter if resolves(cut[0], folder)]
    return next(iter([*with_both, *with_adapter, *cuts]), None)


def anchored(text: str, folder: Path) -> str:
    """A reference whose paths are taken relative to a folder, where they exist there."""
    place = folder / expand_user(text, folder)
    if exists(place):
        return str(place)
    cut = split_adapter(text, folder)
    if cut is None:
        return text
    return f"{anchored(cut[0], folder)}+{anchored(cut[1], folder)}"


def _exists_in(text: str, folder: Path | None) -> bool:
    return exists((folder or Path()) / expand_user(text, folder))


def resolves(text: str, folder: Path | None) -> bool:
    """Whether a reference, or both parts of BASE+ADAPTER, exist.

    Args:
        text: the reference.
        folder: what relative paths are relative to; by default the working directory.
    """
    if _exists_in(text, folder):
        return True
    cut = split_adapter(text, folder)
    return cut is not None and _exists_in(cut[1], folder) and resolves(cut[0], folder)


def matching_paths(pattern: str, folder: Path) -> list[Path]:
    """The paths that match a glob pattern, in name order.

    A part of the pattern that exists literally is taken literally.

    Args:
        pattern: a path, in which `*`, `?` and `[...]` may stand for others.
        folder: what a relative pattern is relative to.
    """
    matches = [Path()]
    for part in (folder / expand_user(pattern, folder)).parts:
        matches = [path for parent in matches for path in _matching_children(parent, part)]
    return sorted(matches)


def _matching_children(folder: Path, part: str) -> list[Path]:
    if exists(folder / part):
        return [folder / part]
    if not glob.has_magic(part):
        return []
    return [folder / name for name in glob.glob(part, root_dir=folder)]
