"""Writing safetensors files in place, sharded; complete or not there at all.

Every tensor's place in its file is known before the first is computed, so the headers are written
first and chunks go straight to where they belong, from any thread, without being collected. That is
why the format is written here and not by the safetensors library, which wants whole tensors; the
library reads every header back before the folder gets its name.
"""

import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineage.storage.atomic_file import whole_folder
from population.errors import PopulationError
from population.merging.nodes import Spec
from population.models.dtypes import Raw
from population.models.tensor_files import read_headers

MAX_FILE_BYTES = 5 * 10**9
"""Bytes in a file, unless one tensor alone is larger."""


@dataclass(frozen=True)
class FilePlace:
    """Where a tensor goes: a file, by number, and the offset of its first byte."""

    file: int
    offset: int


class Shards:
    """The weight files of a checkpoint that is being written.

    Args:
        folder: where to; exists.
        tensors: what will be written, by name.
        shard: bytes in a file at most.
    """

    def __init__(
        self, folder: Path, tensors: Mapping[str, Spec], shard: int = MAX_FILE_BYTES
    ) -> None:
        groups = _grouped(tensors, shard)
        count = len(groups)
        self.files = [
            folder
            / (f"model-{n:05d}-of-{count:05d}.safetensors" if count > 1 else "model.safetensors")
            for n in range(1, count + 1)
        ]
        self.places: dict[str, FilePlace] = {}
        self._handles: list[int] = []
        self._header_lengths: list[int] = []
        try:
            for number, (file, names) in enumerate(zip(self.files, groups, strict=True)):
                self._begin(number, file, names, tensors)
        except OSError:
            self.abandon()
            raise
        if count > 1:
            total = sum(spec.size for spec in tensors.values())
            index = {
                "metadata": {"total_size": total},
                "weight_map": {n: self.files[p.file].name for n, p in sorted(self.places.items())},
            }
            (folder / "model.safetensors.index.json").write_text(
                json.dumps(index, indent=1), encoding="utf-8"
            )

    def _begin(
        self, number: int, file: Path, names: Sequence[str], tensors: Mapping[str, Spec]
    ) -> None:
        """Write the header of a file, and take the space for what follows."""
        start, offset = _write_header(file, names, tensors), 0
        self._header_lengths.append(start - 8)
        self._handles.append(os.open(file, os.O_WRONLY))
        for name in names:
            self.places[name] = FilePlace(number, start + offset)
            offset += tensors[name].size
        _reserve(self._handles[-1], start + offset)

    def write(self, tensor: str, offset: int, values: Raw) -> None:
        """Write elements of a tensor into its file.

        Args:
            tensor: its name.
            offset: bytes after its first byte.
            values: the elements, any shape, in their stored dtype.
        """
        place = self.places[tensor]
        view = memoryview(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        position = place.offset + offset
        while view:
            written = os.pwrite(self._handles[place.file], view, position)
            view, position = view[written:], position + written

    def close(self) -> None:
        """Flush the files to disk, then write the header lengths that make them readable.

        Until then the length of the header is 0, which no reader accepts: an unfinished file
        cannot be taken for a finished one.

        Raises:
            OSError: the disk refused it.
        """
        for handle, length in zip(self._handles, self._header_lengths, strict=True):
            os.fsync(handle)
            os.pwrite(handle, struct.pack("<Q", length), 0)
            os.fsync(handle)
        self.abandon()
        for file in self.files:
            read_headers(file, file.name)

    def abandon(self) -> None:
        """Close the files as they are."""
        while self._handles:
            os.close(self._handles.pop())


def _grouped(tensors: Mapping[str, Spec], shard: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name, spec in tensors.items():
        if groups[-1] and filled + spec.size > shard:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += spec.size
    for group in groups:  # widest first, so that everything is aligned
        group.sort(key=lambda name: -tensors[name].dtype.size)
    return groups


def _write_header(file: Path, names: Sequence[str], tensors: Mapping[str, Spec]) -> int:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        spec = tensors[name]
        header[name] = {
            "dtype": spec.dtype.code,
            "shape": list(spec.shape),
            "data_offsets": [offset, offset + spec.size],
        }
        offset += spec.size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(bytes(8) + text)  # the length of the header comes last, see `Shards.close`
    return 8 + len(text)


def _reserve(handle: int, size: int) -> None:
    """Take the disk space now, so that a full disk says so before hours of work."""
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise


_NOT_SUPPORTED = {22, 38, 95}  # EINVAL, ENOSYS, EOPNOTSUPP: some file systems cannot


def check_unused(folder: Path) -> None:
    """Make sure that writing to a folder overwrites nothing.

    Raises:
        PopulationError: the folder is not empty, or a file has its name.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PopulationError(f"{folder} exists already; choose another name or remove it")


@contextmanager
def new_folder(folder: Path, only: str | None = None) -> Iterator[Path]:
    """A new folder that appears complete or not at all, see `whole_folder`.

    Args:
        folder: the final path.
        only: move only this file to the final path.

    Raises:
        PopulationError: the path is in use, or cannot be written.
    """
    check_unused(folder)
    try:
        with whole_folder(folder, only=only) as draft:
            yield draft
    except OSError as error:
        reason = error.strerror or str(error)
        raise PopulationError(f"cannot write {folder}: {reason}") from None


def copy_files(source: Path, into: Path, names: Sequence[str]) -> None:
    """Copy those of the named files that exist."""
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, into / name)
