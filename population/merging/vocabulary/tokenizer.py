"""The tokenizer of one model, read with the ids that loading it gives."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from population.errors import CheckpointError
from population.models.added_tokens import config_tokens, token_flags
from population.models.tokenizer_failures import clip, loading, read_json


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of one model.

    Attributes:
        name: The model's name, for messages.
        folder: Where its files lie.
        data: Its tokenizer.json.
        tokens: The id of every token that has a row in the embedding, added tokens included.
        out_of_range: The ids of the tokens that have none, as their ids are not below `rows`.
        rows: The number of rows of the model's embedding. Rows without a token are padding.
        amended: `data` holds added tokens that only tokenizer_config.json mentions.
    """

    name: str
    folder: Path
    data: Mapping[str, Any]
    tokens: Mapping[str, int]
    rows: int
    out_of_range: Mapping[str, int]
    amended: bool = False

    @cached_property
    def added(self) -> dict[str, dict[str, Any]]:
        """The added tokens and their settings; they match in raw text, before the model runs."""
        return {
            entry["content"]: entry
            for entry in self.data.get("added_tokens") or ()
            if entry["content"] in self.tokens
        }

    def settings(self, token: str) -> dict[str, Any] | None:
        """The settings of an added token, which may lack a row; None if it is not one."""
        entries = self.data.get("added_tokens") or ()
        return next((entry for entry in entries if entry["content"] == token), None)

    @property
    def kind(self) -> str:
        """BPE, Unigram, WordPiece or WordLevel."""
        return _kind(self.data["model"])


def read_tokenizer(folder: Path, name: str, rows: int) -> Tokenizer:
    """Read the tokenizer of a model.

    Args:
        folder: the model's folder.
        name: the model's name, for messages.
        rows: the rows of its embedding.

    Raises:
        CheckpointError: it has no tokenizer.json, or a broken one.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(_without_file(folder, name))
    data = read_json(file, name)
    try:
        vocabulary = _model_vocabulary(data["model"])
        added = [entry for entry in data.get("added_tokens") or () if entry["content"]]
        new_added = [entry for entry in added if entry["content"] not in vocabulary]
        added_contents = {entry["content"] for entry in added}
        from_config = [
            entry
            for entry in config_tokens(folder, name)
            if entry["content"] not in added_contents and entry["content"] not in vocabulary
        ]
        if (
            not from_config
            and [entry["id"] for entry in new_added]
            == list(range(len(vocabulary), len(vocabulary) + len(new_added)))
            and (not vocabulary or max(vocabulary.values()) < len(vocabulary))
        ):
            tokens = vocabulary | {entry["content"]: entry["id"] for entry in new_added}
        else:
            # The ids in the file are not always those that loading gives: ask the library.
            with loading(f"{name}: {file}", "save it again with transformers' save_pretrained"):
                loaded = Library.from_str(json.dumps(data))
                for entry in from_config:
                    loaded.add_tokens([AddedToken(entry["content"], **token_flags(entry))])
                tokens = loaded.get_vocab(with_added_tokens=True)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{name}: expected a fast tokenizer in {file}, found one that is broken: "
            f"{clip(repr(error))}; save it again with transformers' save_pretrained"
        ) from None
    if from_config:
        from_config = [{**entry, "id": tokens[entry["content"]]} for entry in from_config]
        data["added_tokens"] = [*added, *from_config]
    out_of_range = {token: row for token, row in tokens.items() if row >= rows}
    if out_of_range:
        tokens = {token: row for token, row in tokens.items() if row < rows}
    return Tokenizer(
        name=name,
        folder=folder,
        data=data,
        tokens=tokens,
        rows=rows,
        out_of_range=out_of_range,
        amended=bool(from_config),
    )


def _without_file(folder: Path, name: str) -> str:
    other_files = [
        file
        for pattern in ("*.model", "tekken.json", "vocab.json", "vocab.txt")
        for file in sorted(path.name for path in folder.glob(pattern))
    ]
    if not other_files:
        return (
            f"{name}: expected tokenizer.json in {folder}, found no tokenizer at all; copy the "
            "tokenizer files of the model there"
        )
    return (
        f"{name}: expected tokenizer.json in {folder}, found only {other_files[0]}; convert it "
        "first: load it with transformers' AutoTokenizer and save_pretrained it there"
    )


def _kind(model: Mapping[str, Any]) -> str:
    if "type" in model:
        return str(model["type"])
    if "merges" in model:  # old files do not say
        return "BPE"
    if isinstance(model["vocab"], list):
        return "Unigram"
    return "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"


def _model_vocabulary(model: Mapping[str, Any]) -> dict[str, int]:
    if _kind(model) not in {"BPE", "Unigram", "WordPiece", "WordLevel"}:
        raise ValueError(f"a model of type {_kind(model)!r}")
    if _kind(model) == "Unigram":
        return {token: row for row, (token, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])
