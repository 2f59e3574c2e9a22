"""Added tokens: their settings, and the roles that a tokenizer's configuration gives them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from population.models.tokenizer_failures import read_json

_ROLE_LISTS = {"additional_special_tokens", "extra_special_tokens"}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def token_settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an added token, all of them spelled out, without its id."""
    return {"content": entry["content"], **token_flags(entry)}


def token_flags(entry: Mapping[str, Any]) -> dict[str, bool]:
    """How an added token matches, with the library's defaults for what is not said."""
    special = bool(entry.get("special", False))
    flags = {flag: bool(entry.get(flag, False)) for flag in _FLAGS}
    return {**flags, "normalized": bool(entry.get("normalized", not special))}


def config_tokens(folder: Path, name: str) -> list[dict[str, Any]]:
    """The tokens in the files beside tokenizer.json; transformers adds those that it lacks.

    Only where tokenizer_config.json does not list added tokens do special_tokens_map.json, whose
    roles then come before those of the former, and added_tokens.json count.
    """
    config = _settings(folder / "tokenizer_config.json", name)
    found = {entry["content"]: entry for entry in listed_tokens(folder, name)}
    if "added_tokens_decoder" not in config:
        config |= _settings(folder / "special_tokens_map.json", name)
        roles = set(_roles(config))
        older = _settings(folder / "added_tokens.json", name)
        for token in sorted(older, key=lambda token: int(older[token])):
            found[token] = token_settings({"content": token, "special": token in roles})
    for token in _roles(config):
        found.setdefault(token, token_settings({"content": token, "special": True}))
    return [entry for token, entry in found.items() if token]


def listed_tokens(folder: Path, name: str) -> list[dict[str, Any]]:
    """The added tokens that tokenizer_config.json lists with their settings, which then count."""
    config = _settings(folder / "tokenizer_config.json", name)
    listed = sorted(
        ((int(row), entry) for row, entry in (config.get("added_tokens_decoder") or {}).items()),
        key=lambda pair: pair[0],
    )
    return [token_settings(entry) for _, entry in listed]


def _settings(file: Path, name: str) -> dict[str, Any]:
    return read_json(file, name) if file.is_file() else {}


def without_tokens(settings: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    """The settings of a tokenizer without the roles of tokens that are gone."""
    left: dict[str, Any] = {}
    for key, value in settings.items():
        if key.endswith("_token") and _content(value) in gone:
            continue
        if key in _ROLE_LISTS and isinstance(value, list):
            left[key] = [item for item in value if _content(item) not in gone]
        elif key in _ROLE_LISTS and isinstance(value, dict):
            left[key] = {role: item for role, item in value.items() if _content(item) not in gone}
        else:
            left[key] = value
    return left


def _roles(config: Mapping[str, Any]) -> Iterator[str]:
    """The tokens that a configuration gives a role: eos_token, pad_token and so on."""
    for key, value in config.items():
        if key.endswith("_token"):
            several = [value]
        elif key in _ROLE_LISTS and isinstance(value, dict | list):
            several = list(value.values()) if isinstance(value, dict) else value
        else:
            continue
        yield from (token for token in map(_content, several) if token)


def _content(value: object) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None
