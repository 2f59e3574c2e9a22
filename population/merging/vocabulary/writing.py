"""The files of the merged tokenizer."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Library

from population.errors import CheckpointError
from population.merging.vocabulary.alignment import Alignment
from population.merging.vocabulary.extension import bpe_merges, unigram_pieces
from population.merging.vocabulary.tokenizer import Tokenizer
from population.models.added_tokens import token_settings, without_tokens
from population.models.tokenizer_failures import TAKE_ONE, loading, read_json

_SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
# Other forms of the vocabulary: valid only while the tokenizer stays as it is.
_VOCABULARY_FILES = (
    "added_tokens.json",
    "merges.txt",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
_TEMPLATES = "additional_chat_templates"


def write_tokenizer(alignment: Alignment, tokenizers: Sequence[Tokenizer], into: Path) -> None:
    """Write the tokenizer files of the merged model: the chosen one's, extended where needed.

    Raises:
        CheckpointError: no tokenizer with exactly the merged vocabulary can be written.
    """
    chosen = tokenizers[alignment.chosen]
    into.mkdir(parents=True, exist_ok=True)
    changed = chosen.amended or chosen.out_of_range or alignment.added
    if not changed and len(alignment.tokens) == len(chosen.tokens):
        for name in ("tokenizer.json", *_SETTINGS_FILES, *_VOCABULARY_FILES):
            if (chosen.folder / name).is_file():
                shutil.copyfile(chosen.folder / name, into / name)
    else:
        text = json.dumps(_extended(alignment, tokenizers), ensure_ascii=False)
        _check_loads(text, alignment, chosen)
        (into / "tokenizer.json").write_text(text, encoding="utf-8")
        _write_settings(alignment, chosen, into)
    if (chosen.folder / _TEMPLATES).is_dir():
        shutil.copytree(chosen.folder / _TEMPLATES, into / _TEMPLATES, dirs_exist_ok=True)


def _extended(alignment: Alignment, tokenizers: Sequence[Tokenizer]) -> dict[str, Any]:
    """The chosen tokenizer.json with exactly the tokens of the alignment."""
    chosen = tokenizers[alignment.chosen]
    tokens = alignment.tokens
    model = dict(chosen.data["model"])
    # Added tokens stand in the model's vocabulary too: that is what pins their ids.
    if chosen.kind == "Unigram":
        model["vocab"] = unigram_pieces(alignment, tokenizers)
    else:
        model["vocab"] = dict(sorted(tokens.items(), key=lambda pair: pair[1]))
    if chosen.kind == "BPE":
        model["merges"] = bpe_merges(alignment, tokenizers)
    entries = {token: token_settings(entry) for token, entry in chosen.added.items()}
    entries |= {token: dict(entry) for token, entry in alignment.added.items()}
    added = sorted(
        ({"id": tokens[token], **entry} for token, entry in entries.items()),
        key=lambda entry: int(entry["id"]),
    )
    return {**chosen.data, "added_tokens": added, "model": model}


def _check_loads(text: str, alignment: Alignment, chosen: Tokenizer) -> None:
    with loading(f"{chosen.name}: its tokenizer, with the merged vocabulary,", TAKE_ONE):
        loaded = Library.from_str(text).get_vocab(with_added_tokens=True)
    wrong = [token for token, row in alignment.tokens.items() if loaded.get(token) != row]
    wrong += [token for token in loaded if token not in alignment.tokens]
    if wrong:
        raise CheckpointError(
            f"{chosen.name}: its tokenizer cannot hold the merged vocabulary: expected id "
            f"{alignment.tokens.get(wrong[0])} for {wrong[0]!r}, found {loaded.get(wrong[0])}; "
            f"{TAKE_ONE}"
        )


def _write_settings(alignment: Alignment, chosen: Tokenizer, into: Path) -> None:
    """Write the files around tokenizer.json, without the tokens that are gone."""
    for name in _SETTINGS_FILES:
        file = chosen.folder / name
        if not file.is_file():
            continue
        if file.suffix != ".json":
            shutil.copyfile(file, into / name)
            continue
        removed = chosen.out_of_range.keys() - alignment.tokens.keys()
        settings = without_tokens(read_json(file, chosen.name), removed)
        if "added_tokens_decoder" in settings:
            entries = {**chosen.added, **alignment.added}
            ordered = sorted(entries, key=alignment.tokens.__getitem__)
            settings["added_tokens_decoder"] = {
                str(alignment.tokens[token]): token_settings(entries[token]) for token in ordered
            }
        text = json.dumps(settings, ensure_ascii=False, indent=2)
        (into / name).write_text(text + "\n", encoding="utf-8")
