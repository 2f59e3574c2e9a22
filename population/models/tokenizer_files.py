"""The files that a tokenizer is made of."""

from pathlib import Path

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
SLOW_FILES = ("tokenizer.model", "vocab.json", "vocab.txt")
"""Vocabularies that transformers builds a tokenizer from where there is no tokenizer.json."""


def has_tokenizer(folder: Path) -> bool:
    """Whether there is a tokenizer in a folder; a vision model has none."""
    return any((folder / file).is_file() for file in ("tokenizer.json", *SLOW_FILES))
