"""Translating the ids of special tokens in config.json and generation_config.json.

An id is a row of one tokenizer. Where the tokenizer comes from another model than the config, each
id has to become that of the tokenizer that is written, or texts never end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from population.json_files import read_optional_object

ROLES = ("bos", "eos", "pad")
_ID = re.compile(r".*_token_(id|index)")
_IDS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "force_words_ids",
        "forced_decoder_ids", "sequence_bias")  # fmt: skip
"""Keys that hold ids in other forms; they mean nothing for another tokenizer."""


@dataclass(frozen=True)
class TokenIds:
    """The tokens of a folder, as far as its files state them.

    Attributes:
        ids: the id of every token.
        roles: the token for "bos", "eos" and "pad".
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, role: str) -> int | None:
        """The id of a role's token; None if there is none, or none is known."""
        token = self.roles.get(role)
        return None if token is None else self.ids.get(token)

    def text(self, number: int) -> str | None:
        """The token that has an id; None if there is none."""
        return next((token for token, found in self.ids.items() if found == number), None)


def read_token_ids(folder: Path) -> TokenIds:
    """Read the tokens of a checkpoint folder; files that cannot be read count as missing."""
    content = read_optional_object(folder / "tokenizer.json") or {}
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
        settings = read_optional_object(folder / file) or {}
        for role in ROLES:
            token = settings.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                roles[role] = token
    return TokenIds(ids, roles)


def with_ids(
    settings: Mapping[str, Any],
    own_ids: TokenIds,
    donor_ids: TokenIds,
    donor_settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """A config, or a generation config, with the ids of the tokenizer that is written.

    Args:
        settings: the config.
        own_ids: the tokens that its ids mean.
        donor_ids: the tokens of the tokenizer that is written.
        donor_settings: the same file of the model whose tokenizer is written, if another one.
    """
    result = dict(settings)
    if donor_settings is not None:
        for key in [key for key in {**settings, **donor_settings} if _ID.fullmatch(key)]:
            if key in donor_settings:
                result[key] = donor_settings[key]
            elif (translated := _translated(settings[key], own_ids, donor_ids)) is not None:
                result[key] = translated
            else:
                result.pop(key)
        for key in _IDS:
            result.pop(key, None)
            if key in donor_settings:
                result[key] = donor_settings[key]
    for role in ROLES:
        token_id, key = donor_ids.id_of(role), f"{role}_token_id"
        stated = result.get(key)
        if (
            token_id is None
            or stated == token_id
            or (isinstance(stated, list) and token_id in stated)
        ):
            continue
        result[key] = token_id
    if isinstance(text := result.get("text_config"), Mapping):
        donor_text = donor_settings.get("text_config") if donor_settings is not None else None
        donor_text = (
            donor_text
            if isinstance(donor_text, Mapping)
            else None
            if donor_settings is None
            else {}
        )
        converted = with_ids(text, own_ids, donor_ids, donor_text)
        result["text_config"] = {key: converted[key] for key in converted if key in text}
    return result


def _translated(value: Any, own_ids: TokenIds, donor_ids: TokenIds) -> Any:
    """The same tokens' ids in the tokenizer that is donor_ids, or None if it lacks them."""
    if isinstance(value, list):
        translated = [_translated(item, own_ids, donor_ids) for item in value]
        return [item for item in translated if item is not None] or None
    token = own_ids.text(value) if isinstance(value, int) else None
    return None if token is None else donor_ids.ids.get(token)
