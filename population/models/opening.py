"""Opening checkpoints: folders with a config and safetensors, or a single file of tensors.

Only the headers are read, and nothing that could run code is opened at all: no pickles, no
`auto_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from population.errors import CheckpointError
from population.json_files import read_object
from population.models.checkpoints import Checkpoint
from population.models.config_checks import check_config, check_shapes
from population.models.config_comparison import known_to_transformers
from population.models.dtypes import Dtype
from population.models.tensor_files import TensorHeader, read_headers
from population.models.tensor_kinds import (
    quantisation_method,
    quantised_tensor,
    without_quantisation,
)


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
