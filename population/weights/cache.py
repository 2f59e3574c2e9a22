"""The weights cache: safetensors files named by the hash of their weights, under a quota.

Weights are never the only copy of a model, its recipe is; a file here saves the time of making it,
and keeps the model available if a founder's checkpoint should disappear. When the quota is full,
the least recently used file is evicted first, and keyframes last.

A **keyframe** is a model whose weights are worth keeping: every model that was ever champion.
Keyframes do not bound the depth of a replay, which is bounded already: every recipe that a
campaign breeds is a weighted sum of founders, or a path through their layers, and is made from the
founders in one pass, a million generations down as in the first.

A file gets its name when it is complete and on disk. Nothing relies on that: whatever is loaded is
hashed first.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lineage.storage.atomic_file import sweep_drafts, whole_file
from population.errors import CheckpointError, PopulationError
from population.models.opening import open_tensors
from population.weights.materialise import State
from population.weights.paths import SUFFIX, weights_folder


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache.

    Attributes:
        sha256: of the weights that it should hold.
        file: where it lies.
        size: bytes.
        used: when it was last used, in nanoseconds since 1970.
    """

    sha256: str
    file: Path
    size: int
    used: int


class WeightsCache:
    """The weights that are kept beside an archive.

    Args:
        archive: the archive's file; weights lie in the folder `ARCHIVE.weights`.
        quota: bytes that all files together may take. 0 keeps nothing.
    """

    def __init__(self, archive: Path, quota: int) -> None:
        self.folder = weights_folder(archive)
        self.quota = quota

    def file(self, sha256: str) -> Path:
        """The path for weights with a hash, whether they are kept or not."""
        return self.folder / f"{sha256}{SUFFIX}"

    def files(self) -> list[CachedFile]:
        """All files, the least recently used first."""
        files = []
        for file in self.folder.glob(f"*{SUFFIX}"):
            try:
                stat = file.stat()
            except FileNotFoundError:  # somebody else made room
                continue
            files.append(
                CachedFile(file.name.removesuffix(SUFFIX), file, stat.st_size, stat.st_mtime_ns)
            )
        return sorted(files, key=lambda kept: (kept.used, kept.sha256))

    def damage(self, sha256: str) -> str | None:
        """What is wrong with an existing file, or None. Reads all of it."""
        file = self.file(sha256)
        try:
            actual = open_tensors(file, sha256[:12]).sha256()
        except (CheckpointError, OSError, ValueError) as error:
            return f"cannot be read: {next(iter(str(error).splitlines()), 'no reason given')}"
        return None if actual == sha256 else "holds other weights than its name says"

    def load(self, sha256: str) -> State | None:
        """Load the weights with a hash and verify them; None if they are not kept. Counts as a use.

        Raises:
            CheckpointError: the file is damaged.
        """
        file = self.file(sha256)
        if not file.is_file():
            return None
        if trouble := self.damage(sha256):
            raise CheckpointError(
                f"the kept weights {file} are damaged: the file {trouble}; "
                "`colony check --repair` makes them again"
            )
        os.utime(file)
        state: State = load_file(file)
        return state

    def put(self, sha256: str, state: State, keyframes: Iterable[str] = ()) -> bool:
        """Write weights to the cache, and evict others to make room.

        Args:
            sha256: their hash.
            state: the weights.
            keyframes: hashes of the weights that are evicted last.

        Returns:
            False if they were not kept: they alone exceed the quota, or only keyframes could be
            evicted and they are none.

        Raises:
            PopulationError: the folder cannot be written; what was kept stays.
        """
        protected = frozenset(keyframes)
        size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        try:
            sweep_drafts(self.folder)
            if not self._make_room(sha256, size, protected):
                return False
            self.folder.mkdir(exist_ok=True)
            with whole_file(self.file(sha256), durable=True) as draft:
                save_file(state, draft, metadata={"format": "pt"})
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise PopulationError(
                f"cannot keep weights in {self.folder}: {reason}; mend that, or keep none with "
                "[weights] quota_gb = 0. Nothing that was committed is lost"
            ) from None
        return True

    def remove(self, sha256: str) -> None:
        """Remove the weights with a hash, if they are kept."""
        self.file(sha256).unlink(missing_ok=True)

    def _make_room(self, sha256: str, size: int, keyframes: frozenset[str]) -> bool:
        """Evict others until `size` bytes more fit; none if that would not be enough."""
        if size > self.quota:
            return False
        others = [kept for kept in self.files() if kept.sha256 != sha256]
        excess = size + sum(kept.size for kept in others) - self.quota
        evicted = []
        for kept in _eviction_order(others, keyframes):
            if excess <= 0:
                break
            if kept.sha256 in keyframes and sha256 not in keyframes:
                return False
            evicted.append(kept)
            excess -= kept.size
        for kept in evicted:
            kept.file.unlink(missing_ok=True)
        return True


def _eviction_order(files: list[CachedFile], keyframes: frozenset[str]) -> Iterator[CachedFile]:
    """Least recently used first, keyframes last."""
    yield from (file for file in files if file.sha256 not in keyframes)
    yield from (file for file in files if file.sha256 in keyframes)
