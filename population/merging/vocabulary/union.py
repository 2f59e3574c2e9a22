"""Whether two vocabularies can be joined."""

import json
from collections.abc import Sequence
from typing import Any

from population.errors import CheckpointError
from population.merging.vocabulary.tokenizer import Tokenizer
from population.models.tokenizer_failures import TAKE_ONE, clip


def check_union(chosen: Tokenizer, other: Tokenizer, ordinary: Sequence[str]) -> None:
    """Make sure that equal text becomes equal symbols in both tokenizers before their models run.

    Args:
        chosen: the tokenizer that is extended.
        other: the tokenizer with further tokens.
        ordinary: those tokens.

    Raises:
        CheckpointError: it does not, so that no union exists.
    """
    first, second = _alphabet(chosen), _alphabet(other)
    for setting, value in first.items():
        if value != second[setting]:
            raise CheckpointError(
                f"{other.name} has {len(ordinary)} tokens that {chosen.name} lacks (such as "
                f"{ordinary[0]!r}), but no union exists: expected {setting} "
                f"{clip(_dumps(value))} in both, found {clip(_dumps(second[setting]))}; "
                f"{TAKE_ONE}"
            )


def _alphabet(tokenizer: Tokenizer) -> dict[str, object]:
    data, model = tokenizer.data, tokenizer.data["model"]
    settings: dict[str, object] = {
        "model type": tokenizer.kind,
        "normalizer": _plain(data.get("normalizer")),
        "pre_tokenizer": _plain(data.get("pre_tokenizer")),
        "byte_fallback": bool(model.get("byte_fallback")),
    }
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        settings[affix] = model.get(affix) or ""
    return settings


def _plain(part: Any) -> Any:
    """A normalizer or pre-tokenizer without what makes no difference to the tokens."""
    if not isinstance(part, dict):
        return part
    for several in ("normalizers", "pretokenizers"):
        if part.get("type") == "Sequence" and several in part:
            steps = [_plain(step) for step in part[several]]
            return steps[0] if len(steps) == 1 else {"type": "Sequence", several: steps}
    plain = {key: value for key, value in part.items() if key != "trim_offsets"}
    if plain.get("type") == "ByteLevel":
        plain.setdefault("use_regex", True)
    if plain.get("type") == "Metaspace":  # older files spell it differently
        prefix = plain.pop("add_prefix_space", True)
        plain = {"prepend_scheme": "always" if prefix else "never", "split": True, **plain}
        plain.pop("str_rep", None)
    return plain


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
