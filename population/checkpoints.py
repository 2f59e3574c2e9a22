"""Checkpoints: folders with a config, a tokenizer and safetensors, opened without loading them.

Only the headers are read until a tensor is asked for, and nothing that could run code is opened at
all: no pickles, no `auto_map`. The hash of a model is taken over its tensors and not over a file,
so it does not depend on how they are split into files.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from population.errors import CheckpointError

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
# What may differ between two fine-tunes of one architecture.
_INCIDENTAL = {
    "_name_or_path",
    "_attn_implementation_autoset",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "pad_token_id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
# Named first when they differ: other keys only follow from them.
_TELLING = {"model_type", "hidden_size", "num_hidden_layers", "vocab_size"}
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class TensorHeader:
    """Where a tensor lies and what it is, as its file says."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return int(torch.Size(self.shape).numel())


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder, opened: its config and the headers of its tensors, by tensor name."""

    name: str
    path: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorHeader]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of most of its parameters."""
        weight: dict[torch.dtype, int] = {}
        for header in self.tensors.values():
            weight[header.dtype] = weight.get(header.dtype, 0) + header.parameters
        return max(weight, key=lambda dtype: weight[dtype])

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(header.parameters for header in self.tensors.values())

    def tensor(self, name: str) -> torch.Tensor:
        """Read one tensor, mapped from its file.

        Raises:
            CheckpointError: the file has vanished or is damaged.
        """
        header = self.tensors[name]
        try:
            with safe_open(header.file, framework="pt") as file:
                tensor: torch.Tensor = file.get_tensor(name)
                return tensor
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{self.name}: cannot read {name} from {header.file}: {error}"
            ) from None

    def check_finite(self) -> None:
        """Read everything once.

        Raises:
            CheckpointError: a tensor holds NaN or infinity.
        """
        for name in self.tensors:
            if not bool(torch.isfinite(self.tensor(name)).all()):
                raise CheckpointError(
                    f"founder {self.name!r}: {name} holds NaN or infinity; this checkpoint is "
                    "broken, leave it out"
                )

    def sha256(self) -> str:
        """The hash of its weights, see `weights_sha256`."""
        return weights_sha256((name, self.tensor(name)) for name in sorted(self.tensors))


def weights_sha256(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every tensor, which must come sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        raw: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(raw)
    return digest.hexdigest()


def open_checkpoint(path: Path, name: str | None = None) -> Checkpoint:
    """Open a checkpoint folder by its headers.

    Raises:
        CheckpointError: it is missing, not a transformers checkpoint, pickled, needs remote code,
            truncated, or in a format that cannot be merged.
    """
    name = name or path.name
    if not path.is_dir():
        raise CheckpointError(f"founder {name!r}: no folder at {path}")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"founder {name!r}: {path} holds no config.json, so it is no transformers checkpoint"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"founder {name!r}: {path / 'config.json'}: {error}") from None
    if "auto_map" in config:
        raise CheckpointError(
            f"founder {name!r} wants to run code of its own (auto_map in config.json); "
            "only architectures that transformers knows can be used"
        )
    tensors: dict[str, TensorHeader] = {}
    for file in _weight_files(path, name):
        for tensor, header in _headers(file, name).items():
            if tensor in tensors:
                raise CheckpointError(f"founder {name!r}: {tensor} stands in two files")
            tensors[tensor] = header
    return Checkpoint(name, path, config, tensors)


def _weight_files(path: Path, name: str) -> list[Path]:
    index = path / "model.safetensors.index.json"
    if index.exists():
        try:
            files = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(f"founder {name!r}: {index} is broken: {error}") from None
        paths = [path / file for file in files]
        if missing := [file for file in paths if not file.is_file()]:
            raise CheckpointError(f"founder {name!r}: shard {missing[0]} is missing")
        return paths
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    pickled = [file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in path.glob(pattern)]
    if pickled:
        raise CheckpointError(
            f"founder {name!r}: {pickled[0]} is a pickle, which can run code when loaded; "
            "convert it to safetensors first"
        )
    raise CheckpointError(f"founder {name!r}: no model.safetensors in {path}")


def _headers(file: Path, name: str) -> dict[str, TensorHeader]:
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
            found = {key: (part.get_dtype(), part.get_shape()) for key, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"founder {name!r}: {file} is truncated or not safetensors: {error}"
        ) from None
    for key, (dtype, _) in found.items():
        if dtype not in _DTYPES:
            raise CheckpointError(
                f"founder {name!r}: {key} is {dtype}; expected F32, F16 or BF16 (quantised "
                "checkpoints cannot be merged, use the original)"
            )
    return {
        key: TensorHeader(file, tuple(shape), _DTYPES[dtype])
        for key, (dtype, shape) in found.items()
    }


def check_compatible(founders: Sequence[Checkpoint]) -> None:
    """Make sure that founders can be merged: one architecture, one shape, one tokenizer.

    Raises:
        CheckpointError: names the first difference, what was expected and what was found.
    """
    first = founders[0]
    for other in founders[1:]:
        here, there = _architecture(first), _architecture(other)
        for key in sorted(here.keys() | there.keys(), key=lambda key: (key not in _TELLING, key)):
            if here.get(key) != there.get(key):
                raise CheckpointError(
                    f"founder {other.name!r}: expected {key} {here.get(key)!r} as in "
                    f"{first.name!r}, got {there.get(key)!r}; founders of one colony share one "
                    "architecture"
                )
        for key in sorted(first.tensors.keys() | other.tensors.keys()):
            mine, theirs = first.tensors.get(key), other.tensors.get(key)
            if mine is None or theirs is None:
                owner, lacking = (first, other) if theirs is None else (other, first)
                raise CheckpointError(
                    f"founder {lacking.name!r} has no tensor {key}, which {owner.name!r} has"
                )
            if mine.shape != theirs.shape:
                raise CheckpointError(
                    f"founder {other.name!r}: expected {key} of shape {list(mine.shape)} as in "
                    f"{first.name!r}, got {list(theirs.shape)}"
                )
        if _vocabulary(first) != _vocabulary(other):
            raise CheckpointError(
                f"founder {other.name!r} has another tokenizer than {first.name!r}; "
                "the same token would mean different things in their merge"
            )


def _architecture(checkpoint: Checkpoint) -> dict[str, Any]:
    return {key: value for key, value in checkpoint.config.items() if key not in _INCIDENTAL}


def _vocabulary(checkpoint: Checkpoint) -> str:
    """What decides which text becomes which token; formatting and padding settings do not."""
    path = checkpoint.path / "tokenizer.json"
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"founder {checkpoint.name!r}: {path}: {error}") from None
        parts = ("model", "added_tokens", "normalizer", "pre_tokenizer", "decoder")
        return json.dumps([content.get(part) for part in parts], sort_keys=True)
    for file in ("tokenizer.model", "vocab.json", "vocab.txt"):
        if (checkpoint.path / file).is_file():
            return hashlib.sha256((checkpoint.path / file).read_bytes()).hexdigest()
    raise CheckpointError(f"founder {checkpoint.name!r} has no tokenizer in {checkpoint.path}")
