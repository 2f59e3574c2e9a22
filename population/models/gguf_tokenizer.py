"""Byte-level BPE tokenizers as GGUF has them: tokens, their types, merges, and how texts are cut.

GGUF names the way in which a text is cut before merges (`tokenizer.ggml.pre`) instead of saying it,
so only ways that have a name can be written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population.errors import CheckpointError

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Types of tokens (llama.cpp, ggml's `llama_token_type`)."""

_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


CUTS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_GPT2],
    "smollm": [{"type": "Digits", "individual_digits": True}, _GPT2],
    "llama-bpe": [_split(_LLAMA_3), _BYTES],
    "qwen2": [_split(_QWEN_2), _BYTES],
}
"""By the name that GGUF has for it: what a tokenizer.json says of it."""


@dataclass(frozen=True)
class GgufTokenizer:
    """A tokenizer as GGUF has it.

    Attributes:
        pre: the name of how texts are cut.
        tokens: by id, as many as the model has rows.
        types: of each.
        merges: the first ones first, `LEFT RIGHT`.
    """

    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]


def gguf_tokenizer(folder: Path, size: int) -> GgufTokenizer:
    """The tokenizer of a checkpoint.

    Args:
        folder: with a tokenizer.json.
        size: rows of the model's vocabulary matrix; ids without a token are filled up.

    Raises:
        CheckpointError: it is of another kind, cuts texts in a way without a name, or has more
            tokens than the model has rows.
    """
    path = folder / "tokenizer.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model: dict[str, Any] = content["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error!r:.200}") from None
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        kind = "SentencePiece" if model.get("byte_fallback") else model.get("type")
        raise CheckpointError(
            f"{path} is a {kind} tokenizer; as GGUF byte-level BPE is written, and no other kind"
        )
    pre = _name_of_cut(path, content)
    names: dict[int, str] = {number: text for text, number in model["vocab"].items()}
    types = dict.fromkeys(names, NORMAL)
    for token in content.get("added_tokens", ()):
        names[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    if max(names) >= size:
        raise CheckpointError(f"{path} has {max(names) + 1:,} tokens, the model {size:,} rows")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    return GgufTokenizer(
        pre,
        [names.get(number, f"[PAD{number}]") for number in range(size)],
        [types.get(number, UNUSED) for number in range(size)],
        merges,
    )


def _name_of_cut(path: Path, content: Mapping[str, Any]) -> str:
    parts = _flat(content.get("pre_tokenizer"))
    normalizer = content.get("normalizer")
    for name, wanted in CUTS.items():
        # Qwen's texts are composed first (NFC), and llama.cpp reads them as they come.
        composed = name == "qwen2" and normalizer == {"type": "NFC"}
        if (normalizer is None or composed) and _says(parts, wanted):
            return name
    kinds = ", ".join(str(part.get("type")) for part in parts) or "nothing"
    raise CheckpointError(
        f"{path} cuts texts in a way that has no name here ({kinds}); there are {', '.join(CUTS)}"
    )


def _says(parts: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bool:
    return len(parts) == len(wanted) and all(
        all(have.get(key) == value for key, value in want.items())
        for have, want in zip(parts, wanted, strict=True)
    )


def _flat(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    if part.get("type") == "Sequence":
        return [one for inner in part["pretokenizers"] for one in _flat(inner)]
    return [part]
