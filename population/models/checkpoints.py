"""Checkpoints: folders with a config, a tokenizer and safetensors, opened without loading them.

Only the headers are read until a tensor is asked for, then the file is mapped, and nothing that
could run code is opened at all: no pickles, no `auto_map`. The hash of a model is taken over its
tensors and not over a file, so it does not depend on how they are split into files.

torch is not needed to open, check, hash or merge checkpoints, and starting it takes longer than
most merges; it is imported when somebody asks for a torch tensor.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from population.errors import CheckpointError
from population.json_files import read_object
from population.models.config_checks import check_config, check_shapes
from population.models.config_comparison import config_differences, known_to_transformers
from population.models.dtypes import DTYPES, Dtype, Raw, Wide, all_finite, to_torch, widen
from population.models.tensor_kinds import (
    quantisation_method,
    quantised_tensor,
    without_quantisation,
)
from population.models.tokenizer_sameness import SLOW_FILES, same_tokens

if TYPE_CHECKING:
    import torch

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)
RELEASE_ALIGNMENT = 2 << 20
"""Memory is freed in units of so many bytes; a multiple of every page size."""
VOCABULARY_FILES = ("tokenizer.json", *SLOW_FILES)


@dataclass(frozen=True)
class TensorHeader:
    """Where a tensor lies and what it is, according to its file.

    Attributes:
        file: the safetensors file.
        offset: of its first byte in the file.
        shape: its sizes.
        dtype: how its elements are stored.
    """

    file: Path
    offset: int
    shape: tuple[int, ...]
    dtype: Dtype

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.parameters * self.dtype.size


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened: its config and the headers of its tensors, by tensor name.

    Attributes:
        name: what messages and recipes call it.
        path: its folder, or a single safetensors file.
        config: its config.json; empty for a single file.
        tensors: headers by name.
        notes: remarks for the user, a line each.
    """

    name: str
    path: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorHeader]
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def reference(self) -> str:
        """The reference that opens it again from anywhere; see `population.models.sources`."""
        return str(self.path.resolve())

    @property
    def dtype(self) -> Dtype:
        """The dtype of most of its parameters."""
        counts: dict[str, int] = {}
        for header in self.tensors.values():
            if header.dtype.floating:
                code = header.dtype.code
                counts[code] = counts.get(code, 0) + header.parameters
        return DTYPES[max(counts, key=lambda code: counts[code])] if counts else DTYPES["F32"]

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(header.parameters for header in self.tensors.values())

    def raw(self, name: str) -> Raw:
        """One tensor as its file stores it, mapped and read-only, in its shape; bf16 as uint16.

        Raises:
            CheckpointError: the file has vanished or shrunk.
        """
        header = self.tensors[name]
        try:
            if not header.size:
                return np.empty(header.shape, header.dtype.raw)
            mapped = _mapped(header.file)
            flat = np.frombuffer(mapped, header.dtype.raw, header.parameters, header.offset)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.name}: cannot read {name} from {header.file}: {error}"
            ) from None
        return flat.reshape(header.shape)

    def wide(self, name: str, start: int = 0, stop: int | None = None) -> Wide:
        """Rows of a tensor along its first dimension, widened: shape [rows, ...].

        Args:
            name: the tensor.
            start: the first row.
            stop: the row after the last; all rows by default.

        Returns:
            fp32, or fp64 if it is stored so; may be a read-only view.

        Raises:
            CheckpointError: the file has vanished or shrunk.
        """
        raw = self.raw(name)
        return widen(raw[start:stop] if raw.ndim else raw, self.tensors[name].dtype)

    def stores(self, name: str) -> bool:
        """Whether `raw` is exact; if not, only `wide` is (a tensor that an adapter changes)."""
        return name in self.tensors

    def renamed(self, names: Mapping[str, str], config: Mapping[str, Any]) -> Checkpoint:
        """The same weights by other names.

        Args:
            names: the old name by the new one, of the tensors to keep; a tensor may get two.
            config: the config that describes the result.
        """
        return replace(
            self, tensors={new: self.tensors[old] for new, old in names.items()}, config=config
        )

    def release(self, name: str) -> None:
        """Free the memory of a mapped tensor; reading it again maps it again."""
        header = self.tensors[name]
        if not header.size or not hasattr(mmap, "MADV_DONTNEED"):
            return
        # Reading a page maps its neighbours too, so more is let go of than the tensor has. Whoever
        # is reading there has it mapped again without noticing.
        first = header.offset // RELEASE_ALIGNMENT * RELEASE_ALIGNMENT
        mapped = _mapped(header.file)
        stop = min(
            len(mapped), -(-(header.offset + header.size) // RELEASE_ALIGNMENT) * RELEASE_ALIGNMENT
        )
        mapped.madvise(mmap.MADV_DONTNEED, first, stop - first)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor for torch, copied from its file.

        Raises:
            CheckpointError: the file has vanished or is damaged.
        """
        return to_torch(np.array(self.raw(name)), self.tensors[name].dtype)

    def check_finite(self) -> None:
        """Read all tensors once and make sure that they are finite.

        Raises:
            CheckpointError: a tensor holds NaN or infinity.
        """
        for name, header in self.tensors.items():
            if not all_finite(self.raw(name), header.dtype):
                raise CheckpointError(
                    f"{self.name!r}: {name} holds NaN or infinity; this checkpoint is "
                    "broken, leave it out"
                )
            self.release(name)

    def sha256(self) -> str:
        """The hash of its weights, see `weights_sha256`."""

        def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
            for name in sorted(self.tensors):
                yield name, self.tensors[name].dtype, self.raw(name)
                self.release(name)

        return weights_sha256(tensors())


def _mapped(file: Path) -> mmap.mmap:
    stat = file.stat()
    return _map(file, stat.st_ino, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _map(file: Path, *_identity: int) -> mmap.mmap:
    """Keyed by what changes when a file is replaced. Views keep an evicted map alive.

    Each map holds a file descriptor, of which a process often may have 1024.
    """
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def weights_sha256(tensors: Iterable[tuple[str, Dtype, Raw]]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every tensor.

    Args:
        tensors: (name, stored dtype, stored elements), sorted by name.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, dtype, raw in tensors:
        digest.update(f"{name}|torch.{dtype.name}|{raw.shape}|".encode())
        digest.update(np.ascontiguousarray(raw).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def open_checkpoint(path: Path, name: str | None = None) -> Checkpoint:
    """Open a checkpoint folder by its headers.

    Args:
        path: the folder.
        name: what messages and recipes call it; by default the folder's name.

    Raises:
        CheckpointError: it is missing, not a transformers checkpoint, pickled, needs remote code,
            truncated, quantised, or in a format that cannot be merged.
    """
    name = name or path.name
    if not path.is_dir():
        raise CheckpointError(f"{name!r}: no folder at {path}")
    notes: list[str] = []
    config = read_config(path, name, notes)
    tensors: dict[str, TensorHeader] = {}
    for file in _weight_files(path, name, config):
        for tensor, header in read_headers(file, name).items():
            if tensor in tensors:
                raise CheckpointError(f"{name!r}: {tensor} stands in two files")
            tensors[tensor] = header
    config = _without_false_quantisation(tensors, config, name, notes)
    check_shapes(config, tensors, f"{name!r}")
    return Checkpoint(name, path, config, tensors, notes=tuple(notes))


def read_config(path: Path, name: str, notes: list[str]) -> dict[str, Any]:
    """Read and check the config of a checkpoint folder.

    Args:
        path: the folder.
        name: the model's name, for messages.
        notes: remarks for the user are added here.

    Raises:
        CheckpointError: it is missing, broken, or asks for code of its own.
    """
    file = path / "config.json"
    try:
        config = read_object(file, f"{name!r}")
    except FileNotFoundError:
        raise CheckpointError(
            f"{name!r}: {path} holds no config.json, so it is no transformers checkpoint"
        ) from None
    if "auto_map" in config:
        if not known_to_transformers(config.get("model_type")):
            raise CheckpointError(
                f"{name!r} wants to run code of its own (auto_map in config.json); "
                "only architectures that transformers knows can be used, not "
                f"{config.get('model_type')!r}"
            )
        del config["auto_map"]
        notes.append(
            f"{name!r} brings code of its own (auto_map in config.json), which is never run: "
            f"transformers knows {config['model_type']} itself"
        )
    check_config(config, f"{name!r}: {file}")
    return config


def _without_false_quantisation(
    tensors: Mapping[str, TensorHeader], config: dict[str, Any], name: str, notes: list[str]
) -> dict[str, Any]:
    """The config, without a claim of quantisation if the weights are plain.

    Raises:
        CheckpointError: they are packed.
    """
    method = quantisation_method(config)
    if packed := quantised_tensor(tensors, config):
        raise CheckpointError(_packed_message(name, packed, tensors[packed].dtype, method))
    if method is not None:
        config = without_quantisation(config)
        notes.append(
            f"{name!r}: its config says that the weights are quantised ({method}), but they are "
            "plain; that part of the config is left out"
        )
    return config


def _packed_message(name: str, tensor: str, dtype: Dtype, method: str | None) -> str:
    by = f" by {method}" if method else ""
    return (
        f"{name!r} is quantised{by}: {tensor} ({dtype.code}) means nothing by itself, so it can "
        "neither be averaged nor copied; use the unquantised original, or dequantise it with "
        "transformers (model.dequantize()) and save that"
    )


def _weight_files(path: Path, name: str, config: Mapping[str, Any]) -> list[Path]:
    """The files that transformers loads: the one that a config names, a single one, or shards."""
    stated = config.get("transformers_weights")
    if stated is not None:
        if not isinstance(stated, str) or Path(stated).name != stated:
            raise CheckpointError(
                f"{name!r}: {path / 'config.json'}: transformers_weights is {stated!r}; expected "
                "the name of a file beside it"
            )
        if stated.endswith(".safetensors") and (path / stated).is_file():
            return [path / stated]
        if not (stated.endswith(".safetensors.index.json") and (path / stated).is_file()):
            raise CheckpointError(
                f"{name!r}: its config takes the weights from {stated}, which is no safetensors "
                f"file in {path}"
            )
        return _shards(path / stated, name)
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    if (path / "model.safetensors.index.json").exists():
        return _shards(path / "model.safetensors.index.json", name)
    pickles = [file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in path.glob(pattern)]
    if pickles:
        raise CheckpointError(
            f"{name!r}: {pickles[0]} is a pickle, which can run code when loaded; "
            "convert it to safetensors first"
        )
    unused_files = sorted(file.name for file in path.glob("*.safetensors"))
    hint = f"; transformers does not load {unused_files[0]}" if unused_files else ""
    raise CheckpointError(f"{name!r}: no model.safetensors in {path}{hint}")


def _shards(index: Path, name: str) -> list[Path]:
    """The files that an index names, after checking that each has the tensors that it should."""
    try:
        file_of_tensor = read_object(index, f"{name!r}")["weight_map"]
        files = sorted(set(file_of_tensor.values()))
        if not files:
            raise ValueError("it names no file")
        if elsewhere := [file for file in files if Path(file).name != file]:
            raise ValueError(f"{elsewhere[0]!r} is no file of this folder")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{name!r}: {index} is broken: {error}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{error} (it is broken)") from None
    paths = {file: index.parent / file for file in files}
    if missing_files := [file for file in paths.values() if not file.is_file()]:
        raise CheckpointError(f"{name!r}: shard {missing_files[0]} is missing")
    headers = {file: read_headers(where, name) for file, where in paths.items()}
    for tensor, file in file_of_tensor.items():
        if tensor not in headers[file]:
            raise CheckpointError(f"{name!r}: {index} says that {tensor} is in {file}; it is not")
    return list(paths.values())


def read_headers(file: Path, name: str) -> dict[str, TensorHeader]:
    """The headers of one safetensors file, by tensor name.

    Args:
        file: its path.
        name: the model's name, for messages.

    Raises:
        CheckpointError: the file is truncated, inconsistent, or holds dtypes that cannot be merged.
    """
    try:
        with safe_open(file, framework="np"):
            pass  # the library checks that offsets and shapes fit the file and do not overlap
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            content = json.loads(opened.read(length))
    except (OSError, SafetensorError, ValueError, RecursionError, struct.error) as error:
        raise CheckpointError(
            f"{name!r}: {file} is truncated or not safetensors: {error}"
        ) from None
    content.pop("__metadata__", None)
    for key, entry in content.items():
        if entry["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{name!r}: {key} is {entry['dtype']}; expected F32, F16 or BF16 (what is "
                "quantised cannot be merged; use the unquantised original)"
            )
    return {
        key: TensorHeader(
            file,
            8 + length + entry["data_offsets"][0],
            tuple(entry["shape"]),
            DTYPES[entry["dtype"]],
        )
        for key, entry in content.items()
    }


def open_tensors(path: Path, name: str | None = None) -> Checkpoint:
    """Open a single safetensors file as a checkpoint without a config, to merge by tensor name.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    name = name or path.stem
    if not path.is_file():
        raise CheckpointError(f"{name!r}: no file at {path}")
    tensors = read_headers(path, name)
    if packed := quantised_tensor(tensors, {}):
        raise CheckpointError(_packed_message(name, packed, tensors[packed].dtype, None))
    return Checkpoint(name, path, {}, tensors)


def check_compatible(founders: Sequence[Checkpoint]) -> None:
    """Make sure that founders can be merged: one architecture, one shape, one tokenizer.

    Raises:
        CheckpointError: names the first difference, what was expected and what was found.
    """
    first = founders[0]
    for other in founders[1:]:
        for difference in config_differences(first.config, other.config):
            raise CheckpointError(
                f"founder {other.name!r}: expected {difference.key} {difference.first!r} as in "
                f"{first.name!r}, got {difference.second!r}; founders of one colony share one "
                "architecture"
            )
        for key in sorted(first.tensors.keys() | other.tensors.keys()):
            expected, actual = first.tensors.get(key), other.tensors.get(key)
            if expected is None or actual is None:
                owner, lacking = (first, other) if actual is None else (other, first)
                raise CheckpointError(
                    f"founder {lacking.name!r} has no tensor {key}, which {owner.name!r} has"
                )
            if expected.shape != actual.shape:
                raise CheckpointError(
                    f"founder {other.name!r}: expected {key} of shape {list(expected.shape)} as in "
                    f"{first.name!r}, got {list(actual.shape)}"
                )
            if not (expected.dtype.floating and actual.dtype.floating):
                _check_copied(first, other, key)
        if not same_vocabulary(first, other):
            raise CheckpointError(
                f"founder {other.name!r} has another tokenizer than {first.name!r}; "
                "the same token would mean different things in their merge"
            )


def _check_copied(first: Checkpoint, other: Checkpoint, key: str) -> None:
    """Make sure that both have the same counter, mask or indices: there is no mean of these."""
    expected, actual = first.tensors[key], other.tensors[key]
    if expected.dtype is not actual.dtype or not np.array_equal(first.raw(key), other.raw(key)):
        raise CheckpointError(
            f"founder {other.name!r}: {key} ({actual.dtype.name}) is another than in "
            f"{first.name!r}; it is no weight (a counter, a mask or indices), so there is no "
            "mean of both; make them equal, or leave one of these founders out"
        )


def same_vocabulary(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints turn the same text into the same tokens.

    Raises:
        CheckpointError: one has no tokenizer, or a broken one.
    """
    return same_tokens(one.path, other.path, (one.name, other.name))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the text model: `text_config`, else all of it."""
    text = config.get("text_config")
    return text if isinstance(text, Mapping) else config


def has_tokenizer(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint has a tokenizer; a vision model has none."""
    return any((checkpoint.path / file).is_file() for file in VOCABULARY_FILES)
