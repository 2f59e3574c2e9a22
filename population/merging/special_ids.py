"""The ids of special tokens in config.json and generation_config.json, and whose tokens they mean.

An id is a row of one tokenizer. Where the tokenizer of another model is taken than the one whose
config is, each id has to become that of the tokenizer that is written, or texts never end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROLES = ("bos", "eos", "pad")
_ID = re.compile(r".*_token_(id|index)")
_IDS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "force_words_ids",
        "forced_decoder_ids", "sequence_bias")  # fmt: skip
"""Keys that hold ids in other forms; they mean nothing for another tokenizer."""


@dataclass(frozen=True)
class TokenIds:
    """The tokens of a folder, as far as its files say them without any library.

    Attributes:
        ids: the id of every token.
        roles: the token that begins, ends and fills up texts, by role.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, role: str) -> int | None:
        """The id of a role's token; None if there is none, or none is known."""
        token = self.roles.get(role)
        return None if token is None else self.ids.get(token)

    def text(self, number: int) -> str | None:
        """The token that has an id."""
        return next((token for token, found in self.ids.items() if found == number), None)


def read_token_ids(folder: Path) -> TokenIds:
    """Read the tokens of a checkpoint folder; what cannot be read counts as not there."""
    content = _object(folder / "tokenizer.json")
    ids: dict[str, int] = {}
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        ids |= {token: row for token, row in vocabulary.items() if isinstance(row, int)}
    elif isinstance(vocabulary, list):
        ids |= {str(piece[0]): row for row, piece in enumerate(vocabulary) if piece}
    for entry in content.get("added_tokens") or ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            ids[str(entry.get("content"))] = entry["id"]
    roles = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):  # the later one counts
        settings = _object(folder / file)
        for role in ROLES:
            token = settings.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                roles[role] = token
    return TokenIds(ids, roles)


def with_ids(
    settings: Mapping[str, Any],
    own: TokenIds,
    taken: TokenIds,
    of_taken: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A config, or a generation config, whose ids are those of the tokenizer that is written.

    Args:
        settings: the config.
        own: the tokens that its ids mean.
        taken: the tokens of the tokenizer that is written.
        of_taken: the same file of the model whose tokenizer is taken, if that is another one.
    """
    told = dict(settings)
    if of_taken is not None:
        for key in [key for key in {**settings, **of_taken} if _ID.fullmatch(key)]:
            if key in of_taken:
                told[key] = of_taken[key]
            elif (moved := _translated(settings[key], own, taken)) is not None:
                told[key] = moved
            else:
                told.pop(key)
        for key in _IDS:
            told.pop(key, None)
            if key in of_taken:
                told[key] = of_taken[key]
    for role in ROLES:
        number, key = taken.id_of(role), f"{role}_token_id"
        said = told.get(key)
        if number is None or said == number or (isinstance(said, list) and number in said):
            continue
        told[key] = number
    if isinstance(nested := told.get("text_config"), Mapping):
        inner = of_taken.get("text_config") if of_taken is not None else None
        inner = inner if isinstance(inner, Mapping) else None if of_taken is None else {}
        stated = with_ids(nested, own, taken, inner)
        told["text_config"] = {key: stated[key] for key in stated if key in nested}
    return told


def _translated(value: Any, own: TokenIds, taken: TokenIds) -> Any:
    """The same tokens' ids in the tokenizer that is taken, or None if it lacks them."""
    if isinstance(value, list):
        found = [_translated(one, own, taken) for one in value]
        return [one for one in found if one is not None] or None
    token = own.text(value) if isinstance(value, int) else None
    return None if token is None else taken.ids.get(token)


def _object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
