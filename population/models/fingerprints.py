"""Fingerprints: the hash of a checkpoint's weights, which are finite, as far as it is known.

Reading a gigabyte takes seconds and expanding adapters longer, so what was found is written down in
the user's cache under the identity of the files: path, size, inode, and the times of the last
change of contents and of anything at all, which no program can set back. A file that was touched in
the last seconds could be touched again within the resolution of its clock, and is read again.
`colony check` goes by what lies in the files and never by this.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from population.errors import CheckpointError
from population.models.adapters import AdaptedCheckpoint
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import Dtype, Raw, all_finite
from population.models.sources import cache_folder

ReadProgress = Callable[[int, int], None]
"""Told how many bytes are read, of how many."""

MIN_CACHED_BYTES = 64 << 20
"""Bytes of a checkpoint from which on it is written down: less is read in no time."""

SETTLED_S = 2.0
"""Seconds since their last change after which files are taken to be at rest."""

MAX_ENTRIES = 1000
"""Checkpoints that are remembered; the oldest make room."""


def fingerprint(checkpoint: Checkpoint, tell: ReadProgress = lambda done, total: None) -> str:
    """The hash of a checkpoint's weights (`Checkpoint.sha256`), which are finite.

    Raises:
        CheckpointError: a tensor holds NaN or infinity.
    """
    place = _place(checkpoint)
    if place is not None:
        with suppress(OSError, ValueError):
            known = place.read_text(encoding="ascii").strip()
            if len(bytes.fromhex(known)) == 32:
                return known
    found = _read(checkpoint, tell)
    if place is not None and place == _place(checkpoint):
        _write(place, found)
    return found


def _read(checkpoint: Checkpoint, tell: ReadProgress) -> str:
    total = sum(header.size for header in checkpoint.tensors.values())

    def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
        done = 0
        for name in sorted(checkpoint.tensors):
            header = checkpoint.tensors[name]
            tell(done, total)
            raw = checkpoint.raw(name)
            if not all_finite(raw, header.dtype):
                raise CheckpointError(
                    f"{checkpoint.name!r}: {name} holds NaN or infinity; this checkpoint is "
                    "broken, leave it out"
                )
            yield name, header.dtype, raw
            checkpoint.release(name)
            done += header.size

    return weights_sha256(tensors())


def _place(checkpoint: Checkpoint) -> Path | None:
    """Where the hash of a checkpoint is written down; None if it is not to be."""
    headers = checkpoint.tensors
    if sum(header.size for header in headers.values()) < MIN_CACHED_BYTES:
        return None
    files = {header.file for header in headers.values()}
    changes: list[object] = []
    while isinstance(checkpoint, AdaptedCheckpoint):
        files |= {path for path in checkpoint.adapter.iterdir() if path.is_file()}
        changes += [(name, one.scale) for name, one in sorted(checkpoint.updates.items())]
        changes += sorted(checkpoint.replaced)
        checkpoint = checkpoint.base
        files |= {header.file for header in checkpoint.tensors.values()}
    try:
        stats = [(str(file.resolve()), file.stat()) for file in sorted(files)]
    except OSError:
        return None
    newest = max(max(stat.st_mtime, stat.st_ctime) for _, stat in stats)
    if time.time() - newest < SETTLED_S:
        return None
    identity = [
        _version(),
        [(p, s.st_size, s.st_ino, s.st_dev, s.st_mtime_ns, s.st_ctime_ns) for p, s in stats],
        [(name, header.dtype.code, header.shape) for name, header in sorted(headers.items())],
        changes,
    ]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return cache_folder() / "fingerprints" / key


def _version() -> str:
    try:
        return version("model-colony")
    except PackageNotFoundError:
        return "unknown"


def _write(place: Path, sha256: str) -> None:
    """Write a hash down; that it cannot be is no reason to stop."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".")
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(sha256 + "\n")
        Path(draft).replace(place)
        known = sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in known[: max(0, len(known) - MAX_ENTRIES)]:
            old.unlink()
