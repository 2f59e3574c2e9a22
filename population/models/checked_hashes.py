"""SHA-256 of checkpoints' weights that were checked to be finite, cached by their files.

Reading a gigabyte takes seconds and expanding adapters longer, so a hash is kept in the user's
cache under the identity of the files: path, size, inode, and the times of the last change of
contents and of anything at all, which no program can set back. A file that was changed in the last
seconds could be changed again within the resolution of its clock, and is not cached.
`colony check` reads the files themselves and never uses this cache.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from population.errors import CheckpointError
from population.models.adapters import AdaptedCheckpoint
from population.models.cache_entries import keep, version_of
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import Dtype, Raw, all_finite
from population.models.grafts import GraftedCheckpoint
from population.models.sources import cache_folder

ReadProgress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""

MIN_CACHED_BYTES = 64 << 20
"""Smaller checkpoints are not cached: they are read in no time."""

SETTLED_S = 2.0
"""Seconds since their last change after which files count as unchanging."""


def checked_sha256(
    checkpoint: Checkpoint, progress: ReadProgress = lambda done, total: None
) -> str:
    """The hash of a checkpoint's weights (`Checkpoint.sha256`), which are checked to be finite.

    Args:
        checkpoint: opened.
        progress: called with (bytes read, bytes in all).

    Raises:
        CheckpointError: a tensor holds NaN or infinity.
    """
    cache_file = _cache_file(checkpoint)
    if cache_file is not None:
        with suppress(OSError, ValueError):
            cached = cache_file.read_text(encoding="ascii").strip()
            if len(bytes.fromhex(cached)) == 32:
                return cached
    sha256 = _read(checkpoint, progress)
    if cache_file is not None and cache_file == _cache_file(checkpoint):
        keep(cache_file, sha256)
    return sha256


def _read(checkpoint: Checkpoint, progress: ReadProgress) -> str:
    total = sum(header.size for header in checkpoint.tensors.values())

    def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
        bytes_read = 0
        for name in sorted(checkpoint.tensors):
            header = checkpoint.tensors[name]
            progress(bytes_read, total)
            raw = checkpoint.raw(name)
            if not all_finite(raw, header.dtype):
                raise CheckpointError(
                    f"{checkpoint.name!r}: {name} holds NaN or infinity; this checkpoint is "
                    "broken, leave it out"
                )
            yield name, header.dtype, raw
            checkpoint.release(name)
            bytes_read += header.size

    return weights_sha256(tensors())


def _cache_file(checkpoint: Checkpoint) -> Path | None:
    """The cache file for a checkpoint's hash; None if it is not cached."""
    headers = checkpoint.tensors
    if sum(header.size for header in headers.values()) < MIN_CACHED_BYTES:
        return None
    files = {header.file for header in headers.values()}
    changes: list[object] = []
    if isinstance(checkpoint, GraftedCheckpoint):
        files |= {header.file for header in checkpoint.frame.tensors.values()}
        changes.append(sorted(checkpoint.taken.items()))
        checkpoint = checkpoint.part
        files |= {header.file for header in checkpoint.tensors.values()}
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
        version_of("model-colony"),
        [(p, s.st_size, s.st_ino, s.st_dev, s.st_mtime_ns, s.st_ctime_ns) for p, s in stats],
        [(name, header.dtype.code, header.shape) for name, header in sorted(headers.items())],
        changes,
    ]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return cache_folder() / "fingerprints" / key
