"""Checks of a config.json: its numbers, and whether they agree with the shapes of the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from population.errors import CheckpointError
from population.models.architectures import architecture_of, layer_of, place_of
from population.models.tensor_kinds import QUANTISATION_KEYS, TensorInfo

_COUNTS = (
    "hidden_size",
    "n_embd",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
    "head_dim",
)
_LARGEST = 10**9
"""No size of a model comes near; what is larger is a mistake, or meant to exhaust the memory."""

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_MOST_LAYERS = 10**5

_EMBEDDING_SIZES = (("vocab_size",), ("hidden_size", "n_embd"))
"""The config keys for the number of rows and of columns of the embeddings."""

_OBJECTS = ("text_config", "rope_scaling", "rope_parameters", *QUANTISATION_KEYS)
_FLAGS = ("tie_word_embeddings", "is_encoder_decoder")


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Make sure that the settings that are used here have values of the right type and size.

    Args:
        config: a config.json, or a part of one.
        where: what the message begins with.

    Raises:
        CheckpointError: a setting has not; names it.
    """

    def refuse(key: str, expected: str) -> CheckpointError:
        return CheckpointError(f"{where}: {key} is {_short(config[key])}; expected {expected}")

    if not isinstance(config.get("model_type", ""), str):
        raise refuse("model_type", "the name of an architecture")
    for key in _COUNTS:
        value, largest = config.get(key), _MOST_LAYERS if key in _LAYERS else _LARGEST
        per_layer = isinstance(value, list) and key not in ("vocab_size", *_LAYERS)
        for number in value if per_layer and value is not None else [value]:
            if number is not None and not _is_count(number, largest):
                raise refuse(key, f"a whole number from 0 to {largest:,}")
    for key in _FLAGS:
        if not isinstance(config.get(key), bool | None):
            raise refuse(key, "true or false")
    for key in _OBJECTS:
        if not isinstance(config.get(key), Mapping | None):
            raise refuse(key, "an object or null")
    architectures = config.get("architectures")
    if architectures is not None and not (
        isinstance(architectures, list) and all(isinstance(entry, str) for entry in architectures)
    ):
        raise refuse("architectures", "a list of names")
    nested = config.get("text_config")
    if isinstance(nested, Mapping):
        check_config(nested, f"{where}: text_config")


def check_shapes(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], name: str) -> None:
    """Make sure that a checkpoint has the tensors that its config promises, as far as is known.

    transformers refuses such a checkpoint too, or initialises what is missing at random.

    Args:
        config: a config.json.
        tensors: headers by name.
        name: what the message begins with.

    Raises:
        CheckpointError: they disagree; names the tensor and the key.
    """
    architecture = architecture_of(config)
    if architecture is None or not architecture.writers or not tensors:
        return  # unknown, or known by a guess
    settings = architecture.settings(config)
    for tensor, header in tensors.items():
        in_layer = place_of(architecture, tensor) is not None
        if in_layer or not tensor.endswith(architecture.embedding) or len(header.shape) != 2:
            continue
        for keys, size in zip(_EMBEDDING_SIZES, header.shape, strict=True):
            key = next((key for key in keys if settings.get(key) is not None), None)
            if key is not None and settings[key] != size:
                raise CheckpointError(
                    f"{name}: {tensor} is {list(header.shape)}, but config.json says {key} "
                    f"{settings[key]}"
                )
    layers = {layer_of(architecture, tensor) for tensor in tensors} - {None}
    count = architecture.layers(config)
    if layers and (missing := set(range(count)) - layers):
        raise CheckpointError(
            f"{name}: config.json speaks of {count} layers, but there is no tensor of layer "
            f"{min(missing)}"
        )


def _is_count(number: Any, most: int) -> bool:
    """Whether this is a whole number, perhaps written as 4.0."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return 0 <= number <= most and number == int(number)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
