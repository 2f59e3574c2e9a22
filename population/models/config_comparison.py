"""Comparing configs as transformers reads them, whichever version wrote them.

One architecture has many spellings: the angles of RoPE stand in `rope_theta` and `rope_scaling` or
in `rope_parameters`, a default is written down or left out, four heads may be 4 or 4.0. Starting
transformers takes seconds, and is avoided where the files are equal anyway.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What may differ between two fine-tunes of one architecture: it changes no answer of a model that
# is not being trained.
_INCIDENTAL = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward",
    "compression_config",
    "dtype",
    "eos_token_id",
    "finetuning_task",
    "gradient_checkpointing",
    "label2id",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "pretraining_tp",
    "problem_type",
    "quantization_config",
    "return_dict",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_return_dict",
}
_ONLY_IN_TRAINING = re.compile(r"(.*_)?(dropout|pdrop|layerdrop|drop_path_rate)(_.*|prob|rate)?")

# Reported first when they differ: other keys only follow from them.
_NAMED_FIRST = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")

ABSENT = object()
"""Stands for the value of a key that is not there."""


@dataclass(frozen=True)
class ConfigDifference:
    """A setting in which two configs differ.

    Attributes:
        key: its name; of a nested one, the path with dots.
        first: its value in the first config; None if it is not set there.
        second: its value in the second config; None if it is not set there.
    """

    key: str
    first: Any
    second: Any


def incidental(key: str) -> bool:
    """Whether a key of config.json may differ between two fine-tunes of one architecture.

    >>> incidental("text_config.attention_dropout"), incidental("hidden_size")
    (True, False)
    """
    last = key.rpartition(".")[2]
    return last in _INCIDENTAL or _ONLY_IN_TRAINING.fullmatch(last) is not None


def config_differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> tuple[ConfigDifference, ...]:
    """The settings in which two models differ, as transformers reads them.

    Args:
        one: a config.json.
        other: another one.

    Returns:
        The differences, the most telling first; empty if both are of one architecture and size.
    """
    if one.get("model_type") != other.get("model_type"):
        return (ConfigDifference("model_type", one.get("model_type"), other.get("model_type")),)
    if not list(_differing(one, other)):
        return ()
    normalised = [normalised_config(config) for config in (one, other)]
    if normalised[0] is None or normalised[1] is None:
        normalised = [_without_old_names(one), _without_old_names(other)]
        code_words = None
    else:
        code_words = _words_in_code(str(one["model_type"]))
    differences = [
        ConfigDifference(key, *(None if value is ABSENT else value for value in values))
        for key, *values in _differing(normalised[0] or {}, normalised[1] or {})
        if code_words is None or "." in key or key in code_words
    ]
    rank = {key: number for number, key in enumerate(_NAMED_FIRST)}
    return tuple(sorted(differences, key=lambda d: (rank.get(d.key, len(rank)), d.key)))


def known_to_transformers(model_type: object) -> bool:
    """Whether transformers has code of its own for an architecture."""
    try:  # a table by itself, which does not start torch
        names = importlib.import_module("transformers.models.auto.auto_mappings")
    except ImportError:
        names = importlib.import_module("transformers.models.auto.configuration_auto")
    return model_type in names.CONFIG_MAPPING_NAMES


def normalised_config(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A config with every default filled in by transformers; None if it cannot read it."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: PLC0415

    try:
        with transformers_verbosity(logging.ERROR):
            plain = {
                k: v for k, v in config.items() if k not in ("quantization_config", "auto_map")
            }
            read: dict[str, Any] = CONFIG_MAPPING[config["model_type"]].from_dict(plain).to_dict()
    except Exception:  # noqa: BLE001 - each architecture checks its config in its own way
        return None
    return read


@contextmanager
def transformers_verbosity(level: int) -> Iterator[None]:
    """Within this context, transformers logs nothing below a level of `logging`."""
    # It takes seconds, see the module's docstring.
    from transformers.utils import logging as library_logging  # noqa: PLC0415

    earlier_level = library_logging.get_verbosity()
    library_logging.set_verbosity(level)
    try:
        yield
    finally:
        library_logging.set_verbosity(earlier_level)


def _words_in_code(model_type: str) -> set[str]:
    """The words in transformers' code of an architecture.

    Configs keep whatever somebody wrote into them ("is_llama_config"); what that code does not even
    mention makes no difference.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: PLC0415

    module = sys.modules[CONFIG_MAPPING[model_type].__module__].__file__ or ""
    folder = Path(module).parent
    shared = [folder.parents[1] / name for name in ("modeling_rope_utils.py", "masking_utils.py")]
    sources = [*folder.glob("*.py"), *(file for file in shared if file.is_file())]
    return {
        word for file in sources for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))
    }


def _without_old_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of an unknown architecture, with the key names of older versions replaced."""
    plain = dict(config)
    scaling = plain.pop("rope_scaling", None)
    theta = plain.pop("rope_theta", None)
    if "rope_parameters" not in plain and (theta is not None or scaling):
        rope = {"rope_type": "default", **(scaling if isinstance(scaling, Mapping) else {})}
        rope["rope_type"] = rope.pop("type", rope["rope_type"])
        plain["rope_parameters"] = rope if theta is None else rope | {"rope_theta": theta}
    if plain.get("num_key_value_heads") is None and "num_attention_heads" in plain:
        plain["num_key_value_heads"] = plain["num_attention_heads"]
    return {key: value for key, value in plain.items() if value is not None}


def _differing(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(path, first value, second value) of every setting that differs."""
    for key in sorted(one.keys() | other.keys(), key=str):
        path = f"{prefix}{key}"
        if incidental(path):
            continue
        first, second = one.get(key, ABSENT), other.get(key, ABSENT)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _differing(first, second, f"{path}.")
        elif first != second:
            yield path, first, second


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the text model: `text_config`, else all of it."""
    text = config.get("text_config")
    return text if isinstance(text, Mapping) else config
