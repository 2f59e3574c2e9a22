"""How a reference to a model is read: what exists under a name is meant, whatever signs it holds.

Signs that mean something (`+` joins a base and an adapter, `~` is a home, `*`, `?` and `[` fit
many) do so only where no file or folder is called so.
"""

import glob
import os
from pathlib import Path


def expanded(text: str, folder: Path | None = None) -> str:
    """A path with its `~` or `~user` replaced, unless something is called so or nobody is.

    Args:
        text: the path.
        folder: where a relative one begins; by default where the process runs.
    """
    if not text.startswith("~") or exists((folder or Path()) / text):
        return text
    return os.path.expanduser(text)  # noqa: PTH111 - Path's fails for a user that is not there


def exists(path: Path) -> bool:
    """Whether something is there; not for what no file can be called."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def halves(text: str, folder: Path | None = None) -> tuple[str, str] | None:
    """BASE and ADAPTER of a reference, or None if it names one thing.

    Of several `+`, the last one counts at which both halves exist, else the last at which the
    adapter does, else the last.

    Args:
        text: the reference.
        folder: where relative paths begin; by default where the process runs.
    """
    if _there(text, folder):
        return None
    cuts = [(text[:at], text[at + 1 :]) for at, sign in enumerate(text) if sign == "+"][::-1]
    cuts = [(base, adapter) for base, adapter in cuts if base and adapter]
    known = [cut for cut in cuts if _there(cut[1], folder)]
    both = [cut for cut in known if resolves(cut[0], folder)]
    return next(iter([*both, *known, *cuts]), None)


def seen_from(text: str, folder: Path) -> str:
    """A reference whose relative paths are seen from a folder, where they exist there."""
    place = folder / expanded(text, folder)
    if exists(place):
        return str(place)
    cut = halves(text, folder)
    if cut is None:
        return text
    return f"{seen_from(cut[0], folder)}+{seen_from(cut[1], folder)}"


def _there(text: str, folder: Path | None) -> bool:
    return exists((folder or Path()) / expanded(text, folder))


def resolves(text: str, folder: Path | None) -> bool:
    """Whether a reference names something that is there, or joins such things."""
    if _there(text, folder):
        return True
    cut = halves(text, folder)
    return cut is not None and _there(cut[1], folder) and resolves(cut[0], folder)


def fitting(pattern: str, folder: Path) -> list[Path]:
    """What fits a pattern, in name order; a part of it that exists as it stands is no pattern.

    Args:
        pattern: a path, in which `*`, `?` and `[...]` may stand for others.
        folder: where a relative one begins.
    """
    found = [Path()]
    for part in (folder / expanded(pattern, folder)).parts:
        found = [path for known in found for path in _step(known, part)]
    return sorted(found)


def _step(folder: Path, part: str) -> list[Path]:
    if exists(folder / part):
        return [folder / part]
    if not glob.has_magic(part):
        return []
    return [folder / name for name in glob.glob(part, root_dir=folder)]
