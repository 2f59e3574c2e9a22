"""Whether two tokenizers turn the same text into the same tokens, whatever their files look like.

A tokenizer.json is read by the library that defines it and written back: merges become pairs, what
is left out becomes its default, and what stands in another order comes into one.
"""

from __future__ import annotations

import filecmp
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population.errors import CheckpointError
from population.json_files import read_object
from population.models.added_tokens import config_tokens, listed_tokens, token_settings
from population.models.config_comparison import transformers_verbosity
from population.models.tokenizer_failures import clip
from population.models.tokenizer_files import SLOW_FILES, has_tokenizer

_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

_STEPS = ("normalizer", "pre_tokenizer", "decoder")


def same_tokens(one: Path, other: Path, names: tuple[str, str]) -> bool:
    """Whether the tokenizers in two folders turn the same text into the same tokens.

    Padding, truncation and the post-processor (what is put around a text) are not compared: merged
    weights are the same with either.

    Args:
        one: a checkpoint's folder.
        other: another one's.
        names: of both models, for messages.

    Raises:
        CheckpointError: one has no tokenizer, or a broken one.
    """
    folders = (one, other)
    files = [folder / "tokenizer.json" for folder in folders]
    has_fast = [file.is_file() for file in files]
    if all(has_fast):
        if filecmp.cmp(files[0], files[1], shallow=False) and all(
            _same_file(folders, name) for name in _BESIDE
        ):
            return True  # and parsing megabytes of JSON is saved
        first, second = (_load_with_tokenizers(*pair) for pair in zip(folders, names, strict=True))
        if first == second:
            return True
        if first.ids != second.ids:
            return False
    elif not any(has_fast) and _same_slow_files(folders, names, _BESIDE):
        return True
    return _same_in_transformers(folders, names, has_fast)


def extends_tokens(one: Path, other: Path, names: tuple[str, str]) -> bool:
    """Whether a tokenizer has all tokens of another, with the same ids, and perhaps more.

    Args:
        one: the folder of the tokenizer that may have more.
        other: the other's folder.
        names: of both models, for messages.

    Raises:
        CheckpointError: one has no tokenizer, or a broken one.
    """
    if same_tokens(one, other, names):
        return True
    folders = (one, other)
    fast = all((folder / "tokenizer.json").is_file() for folder in folders)
    load = _load_with_tokenizers if fast else _load_with_transformers
    more, fewer = (load(*pair) for pair in zip(folders, names, strict=True))
    return more.steps == fewer.steps and fewer.ids.items() <= more.ids.items()


def _same_in_transformers(
    folders: tuple[Path, Path], names: tuple[str, str], has_fast: Sequence[bool]
) -> bool:
    """Whether transformers loads equal tokenizers from two folders.

    Some of its classes make the steps anew, whatever a tokenizer.json says of them.
    """
    try:
        first, second = (
            _load_with_transformers(*pair) for pair in zip(folders, names, strict=True)
        )
    except CheckpointError:
        if all(has_fast):
            return False
        if not any(has_fast) and _same_slow_files(folders, names):
            return True
        raise
    return first == second


def _same_file(folders: tuple[Path, Path], name: str) -> bool:
    """Whether two folders have the same file of that name, or none."""
    files = [folder / name for folder in folders]
    present = [file.is_file() for file in files]
    return not any(present) or (all(present) and filecmp.cmp(files[0], files[1], shallow=False))


def _same_slow_files(
    folders: tuple[Path, Path], names: tuple[str, str], more: Sequence[str] = ()
) -> bool:
    """Whether two tokenizers without a tokenizer.json have the same files, byte by byte."""
    for folder, name in zip(folders, names, strict=True):
        if not any((folder / file).is_file() for file in SLOW_FILES):
            raise CheckpointError(f"{name!r} has no tokenizer in {folder}")
    return all(_same_file(folders, file) for file in (*SLOW_FILES, "merges.txt", *more))


@dataclass(frozen=True)
class _TokenizerContent:
    """The parts of a tokenizer that decide which text becomes which token.

    Attributes:
        ids: of every token.
        added: tokens that match in raw text, and how.
        steps: normaliser, pre-tokeniser, decoder, model settings and scores.
    """

    ids: Mapping[str, int]
    added: Mapping[str, Any]
    steps: Mapping[str, Any]


def _tokenizer_content(
    tokenizer: Any,
    listed: Sequence[Mapping[str, Any]] = (),
    lacking: Sequence[Mapping[str, Any]] = (),
) -> _TokenizerContent:
    """The compared parts of a tokenizer of the tokenizers library.

    Args:
        tokenizer: the library's.
        listed: settings of added tokens that count instead of its own.
        lacking: tokens that are added if it does not have them.
    """
    data = json.loads(tokenizer.to_str())
    model = dict(data["model"])
    model.pop("vocab")
    added = {entry["content"]: token_settings(entry) for entry in data["added_tokens"]}
    added |= {entry["content"]: dict(entry) for entry in listed if entry["content"] in added}
    ids = dict(tokenizer.get_vocab(with_added_tokens=True))
    for entry in lacking:
        if entry["content"] not in ids:
            ids[entry["content"]] = len(ids)
            added[entry["content"]] = dict(entry)
    parts = {part: _without_offsets(data.get(part)) for part in _STEPS}
    scores = data["model"]["vocab"] if isinstance(data["model"]["vocab"], list) else None
    return _TokenizerContent(ids, added, {**parts, "model": model, "scores": scores})


def _without_offsets(part: Any) -> Any:
    """A step of a tokenizer without what only concerns where in the text a token was."""
    if isinstance(part, Mapping):
        steps = {k: _without_offsets(v) for k, v in part.items() if k != "trim_offsets"}
        for list_key in ("normalizers", "pretokenizers", "decoders"):
            if steps.get("type") == "Sequence" and len(steps.get(list_key, ())) == 1:
                return steps[list_key][0]
        return steps
    return [_without_offsets(item) for item in part] if isinstance(part, list) else part


def _load_with_tokenizers(folder: Path, name: str) -> _TokenizerContent:
    """The content of a tokenizer.json, as the tokenizers library reads it."""
    file = folder / "tokenizer.json"
    data = read_object(file, f"{name!r}")
    from tokenizers import Tokenizer  # noqa: PLC0415 - mostly not needed

    try:
        tokenizer = Tokenizer.from_str(json.dumps(data))
        return _tokenizer_content(
            tokenizer, listed_tokens(folder, name), config_tokens(folder, name)
        )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises bare exceptions
        raise CheckpointError(f"{name!r}: {file} is no tokenizer: {clip(str(error))}") from None


def _load_with_transformers(folder: Path, name: str) -> _TokenizerContent:
    """The content of the tokenizer that transformers loads from a folder."""
    if not has_tokenizer(folder):
        raise CheckpointError(f"{name!r} has no tokenizer in {folder}")
    from transformers import AutoTokenizer  # noqa: PLC0415 - it takes seconds

    try:
        with transformers_verbosity(logging.ERROR):
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return _tokenizer_content(tokenizer.backend_tokenizer)
    except Exception as error:  # noqa: BLE001 - each tokenizer fails in its own way
        reason = clip(str(error)) or type(error).__name__
        raise CheckpointError(
            f"{name!r}: transformers cannot read its tokenizer in {folder}: {reason}"
        ) from None
