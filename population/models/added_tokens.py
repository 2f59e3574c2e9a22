"""Added tokens: their settings, and the roles that a tokenizer's configuration gives them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from population.models.tokenizer_failures import read_json

_ROLE_LISTS = {"additional_special_tokens", "extra_special_tokens"}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def token_settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an added token, spelled out, without its id.

    >>> token_settings({"id": 5, "content": "<s>", "special": True})["normalized"]
    False
    """
    return {"content": entry["content"], **token_flags(entry)}


def token_flags(entry: Mapping[str, Any]) -> dict[str, bool]:
    """How an added token matches, with the tokenizers library's default for each unset flag."""
    special = bool(entry.get("special", False))
    flags = {flag: bool(entry.get(flag, False)) for flag in _FLAGS}
    return {**flags, "normalized": bool(entry.get("normalized", not special))}


def config_tokens(folder: Path, name: str) -> list[dict[str, Any]]:
    """The added tokens in the files beside tokenizer.json; transformers adds those that it lacks.

    special_tokens_map.json and added_tokens.json count only where tokenizer_config.json does not
    list added tokens; roles in the former then come before those in tokenizer_config.json.

    Args:
        folder: the checkpoint's folder.
        name: the model's name, for messages.

    Raises:
        CheckpointError: one of the files cannot be read.
    """
    config = _settings(folder / "tokenizer_config.json", name)
    settings = {entry["content"]: entry for entry in listed_tokens(folder, name)}
    if "added_tokens_decoder" not in config:
        config |= _settings(folder / "special_tokens_map.json", name)
        roles = set(_roles(config))
        older_ids = _settings(folder / "added_tokens.json", name)
        for token in sorted(older_ids, key=lambda token: int(older_ids[token])):
            settings[token] = token_settings({"content": token, "special": token in roles})
    for token in _roles(config):
        settings.setdefault(token, token_settings({"content": token, "special": True}))
    return [entry for token, entry in settings.items() if token]


def listed_tokens(folder: Path, name: str) -> list[dict[str, Any]]:
    """The added tokens that tokenizer_config.json lists, in id order, with the settings that count.

    Args:
        folder: the checkpoint's folder.
        name: the model's name, for messages.

    Raises:
        CheckpointError: the file cannot be read.
    """
    config = _settings(folder / "tokenizer_config.json", name)
    listed = sorted(
        ((int(row), entry) for row, entry in (config.get("added_tokens_decoder") or {}).items()),
        key=lambda pair: pair[0],
    )
    return [token_settings(entry) for _, entry in listed]


def _settings(file: Path, name: str) -> dict[str, Any]:
    return read_json(file, name) if file.is_file() else {}


def without_tokens(settings: Mapping[str, Any], removed: set[str]) -> dict[str, Any]:
    """A tokenizer's settings without the roles of removed tokens.

    >>> without_tokens({"eos_token": "</s>", "model_max_length": 8}, {"</s>"})
    {'model_max_length': 8}
    """
    kept: dict[str, Any] = {}
    for key, value in settings.items():
        if key.endswith("_token") and _content(value) in removed:
            continue
        if key in _ROLE_LISTS and isinstance(value, list):
            kept[key] = [item for item in value if _content(item) not in removed]
        elif key in _ROLE_LISTS and isinstance(value, dict):
            kept[key] = {
                role: item for role, item in value.items() if _content(item) not in removed
            }
        else:
            kept[key] = value
    return kept


def _roles(config: Mapping[str, Any]) -> Iterator[str]:
    """The tokens that a configuration gives a role: eos_token, pad_token and so on."""
    for key, value in config.items():
        if key.endswith("_token"):
            values = [value]
        elif key in _ROLE_LISTS and isinstance(value, dict | list):
            values = list(value.values()) if isinstance(value, dict) else value
        else:
            continue
        yield from (token for token in map(_content, values) if token)


def _content(value: object) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None
