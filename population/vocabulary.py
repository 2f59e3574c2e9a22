"""Vocabularies: models with different tokenizers are brought to one, row by row.

`align` decides which of its own embedding rows every model puts at every row of the merged
vocabulary, and what stands in where it has none. `aligned_rows` gathers those rows a slice at a
time, so that no embedding is ever held whole. `write_tokenizer` writes the tokenizer that goes with
them.

What users of other tools meet, and what is done about it here:

- New ordinary tokens do not become *added* tokens, which match greedily in raw text and so break
  ordinary words. They join the vocabulary of the tokenizer's model, with the merges that make them.
- No token of the tokenizer that is extended changes its id, and no row it has is cut off.
- A token whose id lies beyond its model's embedding has no row; it is dropped from the merged
  tokenizer rather than left there to fail when a text uses it.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, models
from tokenizers import Tokenizer as Library

from population.errors import CheckpointError

Rows: TypeAlias = NDArray[np.int64]
Matrix: TypeAlias = NDArray[np.float32]
Read: TypeAlias = Callable[[int, Rows], Matrix]
"""Gathers rows of one model's embedding: (model, rows) to (len(rows), width), for no rows too."""

Source: TypeAlias = Literal["union", "base"] | int

_SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
# Other spellings of the vocabulary: true only while the tokenizer stays as it is.
_SPELLINGS = ("added_tokens.json", "merges.txt", "tokenizer.model", "vocab.json", "vocab.txt")
_TEMPLATES = "additional_chat_templates"
_ROLE_LISTS = {"additional_special_tokens", "extra_special_tokens"}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_OTHERWISE = "take one model's vocabulary instead (tokenizer source: base, or that model)"


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of one model.

    Attributes:
        name: The model's name, for messages.
        folder: Where its files lie.
        data: Its tokenizer.json.
        tokens: The id of every token that has a row in the embedding, added tokens included.
        beyond: The ids of the tokens that have none, as their ids are not below `rows`.
        rows: The number of rows of the model's embedding. Rows without a token are padding.
        amended: `data` holds added tokens that only tokenizer_config.json mentions.
    """

    name: str
    folder: Path
    data: Mapping[str, Any]
    tokens: Mapping[str, int]
    rows: int
    beyond: Mapping[str, int]
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
        """How it adds a token, which may lack a row; None if it does not add it."""
        entries = self.data.get("added_tokens") or ()
        return next((entry for entry in entries if entry["content"] == token), None)

    @property
    def kind(self) -> str:
        """BPE, Unigram, WordPiece or WordLevel."""
        return _kind(self.data["model"])


@dataclass(frozen=True)
class TokenSource:
    """Where the embedding of one token comes from, instead of by the rule.

    Attributes:
        model: The donor. None: the row is zero.
        token: Take this token's row of the donor. Neither this nor `token_id`: the same token's.
        token_id: Take this row of the donor.
        force: Also in the models that have the token. Otherwise only where it is lacking.
    """

    model: int | None
    token: str | None = None
    token_id: int | None = None
    force: bool = False


@dataclass(frozen=True, eq=False)
class Fallback:
    """What stands in for rows that a model lacks: means over rows of others.

    The k-th of the `targets`, which ascend, is the mean over rows `sources[j]` of models
    `models[j]` for j from `starts[k]` to `starts[k + 1]`, each model at most once; zero if there
    are none.
    """

    targets: Rows
    starts: Rows
    models: Rows
    sources: Rows


@dataclass(frozen=True, eq=False)
class Alignment:
    """A merged vocabulary, and how the embedding of every model is brought to it.

    Attributes:
        size: Rows of the merged embedding, padding included.
        tokens: The merged vocabulary.
        rows: For every model, its own row for each row of the merged embedding, or -1.
        used: Whether a row of the merged embedding belongs to a token.
        fallback: Where the rows of tokens come from in models that lack them.
        heights: For every model, the rows of its embedding.
        chosen: The model whose tokenizer is taken, or extended.
        added: Added tokens that the chosen tokenizer gains, with their settings.
    """

    size: int
    tokens: Mapping[str, int]
    rows: tuple[Rows, ...]
    used: NDArray[np.bool_]
    fallback: Fallback
    heights: tuple[int, ...]
    chosen: int
    added: Mapping[str, Mapping[str, Any]]

    @property
    def identical(self) -> bool:
        """Whether every model's embedding already is what it should be: nothing has to be done."""
        straight = np.arange(self.size)
        return all(
            height == self.size and np.array_equal(rows, straight)
            for height, rows in zip(self.heights, self.rows, strict=True)
        )

    def needs_padding(self, model: int) -> bool:
        """Whether `aligned_rows` wants the model's `padding_row`."""
        return bool((~self.used & (self.rows[model] < 0)).any())


def read_tokenizer(folder: Path, name: str, rows: int) -> Tokenizer:
    """Read the tokenizer of a model whose embedding has so many rows.

    Raises:
        CheckpointError: it has no tokenizer.json, or a broken one.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(_without_file(folder, name))
    data = _read_json(file, name)
    try:
        vocabulary = _model_vocabulary(data["model"])
        added = [entry for entry in data.get("added_tokens") or () if entry["content"]]
        outside = [entry for entry in added if entry["content"] not in vocabulary]
        present = {entry["content"] for entry in added}
        extra = [
            entry
            for entry in _config_tokens(folder, name)
            if entry["content"] not in present and entry["content"] not in vocabulary
        ]
        if (
            not extra
            and [entry["id"] for entry in outside]
            == list(range(len(vocabulary), len(vocabulary) + len(outside)))
            and (not vocabulary or max(vocabulary.values()) < len(vocabulary))
        ):
            tokens = vocabulary | {entry["content"]: entry["id"] for entry in outside}
        else:
            # The ids in the file are not always those that loading gives: ask the library.
            with _loading(f"{name}: {file}", "save it again with transformers' save_pretrained"):
                loaded = Library.from_str(json.dumps(data))
                for entry in extra:
                    loaded.add_tokens([AddedToken(entry["content"], **_flags(entry))])
                tokens = loaded.get_vocab(with_added_tokens=True)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{name}: expected a fast tokenizer in {file}, found one that is broken: "
            f"{_clip(repr(error))}; save it again with transformers' save_pretrained"
        ) from None
    if extra:
        extra = [{**entry, "id": tokens[entry["content"]]} for entry in extra]
        data["added_tokens"] = [*added, *extra]
    beyond = {token: row for token, row in tokens.items() if row >= rows}
    if beyond:
        tokens = {token: row for token, row in tokens.items() if row < rows}
    return Tokenizer(
        name=name,
        folder=folder,
        data=data,
        tokens=tokens,
        rows=rows,
        beyond=beyond,
        amended=bool(extra),
    )


def token_sources(
    settings: Mapping[str, Any], names: Mapping[str, int] | Sequence[str]
) -> dict[str, TokenSource]:
    """Read per-token overrides as they stand in a recipe, under `tokenizer: tokens:`.

    Every token has a `source`, which is the name of a model, `{kind: zero}`, or
    `{kind: model_token, model: name, token: text}` (or `token_id: number`), and may have `force`.

    Args:
        settings: The overrides by token.
        names: The number of every model by its name, or the names in the models' order.

    Raises:
        CheckpointError: an override is not like this, or names an unknown model.
    """
    numbers = (
        names if isinstance(names, Mapping) else {name: number for number, name in enumerate(names)}
    )
    return {token: _token_source(token, value, numbers) for token, value in settings.items()}


def align(
    tokenizers: Sequence[Tokenizer],
    base: int | None = None,
    source: Source = "union",
    overrides: Mapping[str, TokenSource] | None = None,
    pad_to_multiple_of: int | None = None,
) -> Alignment:
    """Decide on a merged vocabulary and on the row of every model for each of its rows.

    A model that has a token keeps its own row. One that lacks it gets the row of its override; or
    of the only model that has it; or of the base, if that has it; or the mean over all that have
    it; or zero. A row of the merged vocabulary without a token stays what it is in models that have
    it as padding too; in others it is the mean of their rows with tokens.

    Args:
        tokenizers: One per model.
        base: The base model, if there is one. Without one, the first stands in for it as the
            tokenizer that is taken or extended, but not as the donor of rows.
        source: "union" extends the base's tokenizer by the tokens that it lacks, "base" takes it as
            it is, a number takes that model's.
        overrides: Sources of single tokens. Tokens that are nowhere yet are added to the tokenizer.
        pad_to_multiple_of: The rows of the merged embedding are filled up to such a multiple.

    Raises:
        CheckpointError: the tokenizers cannot be joined, or an override has no such source.
    """
    overrides = overrides or {}
    _check_numbers(tokenizers, base, source, overrides, pad_to_multiple_of)
    chosen = source if isinstance(source, int) else (base or 0)
    taken = tokenizers[chosen]
    _check_post_processor(taken)
    tokens = dict(taken.tokens)
    added: dict[str, Mapping[str, Any]] = {}
    following = max(tokens.values(), default=-1) + 1
    for number, other in enumerate(tokenizers):
        if source != "union" or number == chosen:
            continue
        missing = sorted(other.tokens.keys() - tokens.keys(), key=other.tokens.__getitem__)
        if ordinary := [token for token in missing if token not in other.added]:
            _check_union(taken, other, ordinary)
        tokens.update(zip(missing, range(following, following + len(missing)), strict=True))
        following += len(missing)
        fresh = set(missing)
        for token, entry in other.added.items():
            # What is ordinary elsewhere is left so, unless it is special: that has to match.
            known = token in taken.added or token in added
            if not known and (token in fresh or entry.get("special")):
                added[token] = _settings(entry)
    for token in overrides:
        if token not in tokens:
            tokens[token], following = following, following + 1
            donors = (other.settings(token) for other in (taken, *tokenizers))
            added[token] = _settings(next(filter(None, donors), {"content": token}))

    size = max(taken.rows, following)
    if pad_to_multiple_of:
        size = -(-size // pad_to_multiple_of) * pad_to_multiple_of
    ids = np.fromiter(tokens.values(), np.int64, len(tokens))
    used = np.zeros(size, np.bool_)
    used[ids] = True
    own = np.full((len(tokenizers), size), -1, np.int64)
    for number, other in enumerate(tokenizers):
        own[number, ids] = [other.tokens.get(token, -1) for token in tokens]
    fallback = _fallback(own, used, base, _override_rows(tokenizers, tokens, overrides))
    for number, other in enumerate(tokenizers):
        padding = ~used
        padding[other.rows :] = False
        padding[[row for row in other.tokens.values() if row < size]] = False
        own[number, padding] = np.flatnonzero(padding)
    return Alignment(
        size=size,
        tokens=tokens,
        rows=tuple(own),
        used=used,
        fallback=fallback,
        heights=tuple(other.rows for other in tokenizers),
        chosen=chosen,
        added=added,
    )


def aligned_rows(
    alignment: Alignment,
    model: int,
    start: int,
    stop: int,
    read: Read,
    padding: Matrix | None = None,
) -> Matrix:
    """Rows `start` to `stop` of a model's embedding, in the merged vocabulary.

    Args:
        alignment: What `align` gave.
        model: The number of the model.
        start: The first row.
        stop: The row after the last.
        read: Gathers rows of one model's embedding. It is asked for `model` once, and for every
            model that rows are borrowed from.
        padding: The model's `padding_row`, if it needs one and the caller goes slice by slice;
            otherwise it is made each time.
    """
    own = alignment.rows[model][start:stop]
    kept = own >= 0
    if kept.all():
        return read(model, own)
    first = read(model, own[kept])
    out = np.zeros((len(own), first.shape[1]), np.float32)
    out[kept] = first
    fallback = alignment.fallback
    low, high = np.searchsorted(fallback.targets, (start, start + len(own)))
    targets = fallback.targets[low:high] - start
    counts = np.diff(fallback.starts[low : high + 1])
    pairs = np.arange(fallback.starts[low], fallback.starts[high])
    target = np.repeat(targets, counts)
    pairs, target = pairs[~kept[target]], target[~kept[target]]
    for donor in np.unique(fallback.models[pairs]):
        given = fallback.models[pairs] == donor
        out[target[given]] += read(int(donor), fallback.sources[pairs[given]])
    averaged = (counts > 1) & ~kept[targets]
    out[targets[averaged]] /= counts[averaged, None].astype(np.float32)
    bare = ~kept & ~alignment.used[start:stop]
    if bare.any():
        out[bare] = padding_row(alignment, model, read) if padding is None else padding
    return out


def padding_row(alignment: Alignment, model: int, read: Read, chunk: int = 8192) -> Matrix:
    """The mean of a model's rows with tokens, in the merged vocabulary; read `chunk` at a time."""
    total: NDArray[np.float64] | None = None
    nothing = np.zeros(1, np.float32)
    for start in range(0, alignment.size, chunk):
        rows = aligned_rows(alignment, model, start, start + chunk, read, nothing)
        part = rows[alignment.used[start : start + chunk]].sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
    if total is None:
        raise CheckpointError("the merged vocabulary is empty; expected tokenizers with tokens")
    mean: Matrix = (total / max(int(alignment.used.sum()), 1)).astype(np.float32)
    return mean


def write_tokenizer(alignment: Alignment, tokenizers: Sequence[Tokenizer], into: Path) -> None:
    """Write the tokenizer files of the merged model: the chosen one's, extended where needed.

    Raises:
        CheckpointError: no tokenizer with exactly the merged vocabulary can be written.
    """
    taken = tokenizers[alignment.chosen]
    into.mkdir(parents=True, exist_ok=True)
    changed = taken.amended or taken.beyond or alignment.added
    if not changed and len(alignment.tokens) == len(taken.tokens):
        for name in ("tokenizer.json", *_SETTINGS_FILES, *_SPELLINGS):
            if (taken.folder / name).is_file():
                shutil.copyfile(taken.folder / name, into / name)
    else:
        text = json.dumps(_extended(alignment, tokenizers), ensure_ascii=False)
        _check_loads(text, alignment, taken)
        (into / "tokenizer.json").write_text(text, encoding="utf-8")
        _write_settings(alignment, taken, into)
    if (taken.folder / _TEMPLATES).is_dir():
        shutil.copytree(taken.folder / _TEMPLATES, into / _TEMPLATES, dirs_exist_ok=True)


# Reading.


@contextmanager
def _loading(what: str, remedy: str) -> Iterator[None]:
    """Turn what the library says about a tokenizer into an error for users."""
    try:
        yield
    except Exception as error:
        if type(error) not in {Exception, ValueError}:  # it raises nothing more exact
            raise
        raise CheckpointError(f"{what} does not load: {_clip(str(error))}; {remedy}") from None


def _without_file(folder: Path, name: str) -> str:
    found = [
        file
        for pattern in ("*.model", "tekken.json", "vocab.json", "vocab.txt")
        for file in sorted(path.name for path in folder.glob(pattern))
    ]
    if not found:
        return (
            f"{name}: expected tokenizer.json in {folder}, found no tokenizer at all; copy the "
            "tokenizer files of the model there"
        )
    return (
        f"{name}: expected tokenizer.json in {folder}, found only {found[0]}; convert it first: "
        "load it with transformers' AutoTokenizer and save_pretrained it there"
    )


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: {file} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{name}: expected a JSON object in {file}, found {type(data)}")
    return data


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


def _config_tokens(folder: Path, name: str) -> list[dict[str, Any]]:
    """The tokens in tokenizer_config.json; transformers adds them if tokenizer.json lacks them."""
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        return []
    config = _read_json(file, name)
    mentioned = sorted(
        ((int(row), entry) for row, entry in (config.get("added_tokens_decoder") or {}).items()),
        key=lambda pair: pair[0],
    )
    found = {entry["content"]: _settings(entry) for _, entry in mentioned}
    for token in _roles(config):
        found.setdefault(token, _settings({"content": token, "special": True}))
    return [entry for token, entry in found.items() if token]


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


def _flags(entry: Mapping[str, Any]) -> dict[str, bool]:
    special = bool(entry.get("special", False))
    flags = {flag: bool(entry.get(flag, False)) for flag in _FLAGS}
    return {**flags, "normalized": bool(entry.get("normalized", not special))}


def _settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": entry["content"], **_flags(entry)}


def _token_source(token: str, value: object, numbers: Mapping[str, int]) -> TokenSource:
    def refuse(found: object) -> CheckpointError:
        return CheckpointError(
            f"token {token!r}: expected a source (a model, {{kind: zero}}, or {{kind: model_token, "
            f"model: ..., token or token_id: ...}}) and perhaps force, found {_clip(repr(found))}"
        )

    def number(name: object) -> int:
        if not isinstance(name, str) or name not in numbers:
            raise CheckpointError(
                f"token {token!r}: expected one of the models {', '.join(numbers)} as its source, "
                f"found {name!r}"
            )
        return numbers[name]

    if not isinstance(value, Mapping) or not value.keys() <= {"source", "force"}:
        raise refuse(value)
    source, force = value.get("source"), value.get("force", False)
    if not isinstance(force, bool):
        raise refuse(value)
    if isinstance(source, str):
        return TokenSource(number(source), force=force)
    if source == {"kind": "zero"}:
        return TokenSource(None, force=force)
    if not isinstance(source, Mapping) or source.get("kind") != "model_token":
        raise refuse(value)
    given = {key: item for key, item in source.items() if key not in {"kind", "model"}}
    match given:
        case {"token": str(text), **rest} if not rest:
            return TokenSource(number(source.get("model")), token=text, force=force)
        case {"token_id": int(row), **rest} if not rest and not isinstance(row, bool):
            return TokenSource(number(source.get("model")), token_id=row, force=force)
    raise refuse(value)


# Aligning.


def _check_numbers(
    tokenizers: Sequence[Tokenizer],
    base: int | None,
    source: Source,
    overrides: Mapping[str, TokenSource],
    multiple: int | None,
) -> None:
    if not tokenizers:
        raise CheckpointError("expected at least one tokenizer to align, found none")
    if not isinstance(source, int) and source not in {"union", "base"}:
        raise CheckpointError(
            f"tokenizer source: expected union, base or a model, found {source!r}"
        )
    if multiple is not None and multiple < 1:
        raise CheckpointError(f"pad_to_multiple_of: expected 1 or more, found {multiple}")
    asked = {"base": base, "tokenizer source": source if isinstance(source, int) else None}
    asked |= {f"source of token {token!r}": override.model for token, override in overrides.items()}
    for what, number in asked.items():
        if number is not None and not 0 <= number < len(tokenizers):
            raise CheckpointError(
                f"{what}: expected the number of one of {len(tokenizers)} models, found {number}"
            )


def _check_post_processor(taken: Tokenizer) -> None:
    if not taken.beyond:
        return
    for row in _inserted(taken.data.get("post_processor")):
        if row >= taken.rows:
            raise CheckpointError(
                f"{taken.name}: its tokenizer puts token id {row} into every text, but its "
                f"embedding has only {taken.rows} rows; take another model's tokenizer (tokenizer "
                "source), or mend this one"
            )


def _inserted(part: object) -> Iterator[int]:
    """The ids that a post-processor adds to texts."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "ids" and isinstance(value, list):
                yield from value
            elif key in {"sep", "cls"} and isinstance(value, list) and len(value) == 2:
                yield value[1]
            else:
                yield from _inserted(value)
    elif isinstance(part, list):
        for value in part:
            yield from _inserted(value)


def _check_union(taken: Tokenizer, other: Tokenizer, ordinary: Sequence[str]) -> None:
    """Two vocabularies can be joined if equal text becomes equal symbols before the model runs."""
    ours, theirs = _alphabet(taken), _alphabet(other)
    for setting, value in ours.items():
        if value != theirs[setting]:
            raise CheckpointError(
                f"{other.name} has {len(ordinary)} tokens that {taken.name} lacks (such as "
                f"{ordinary[0]!r}), but no union exists: expected {setting} "
                f"{_clip(_dumps(value))} in both, found {_clip(_dumps(theirs[setting]))}; "
                f"{_OTHERWISE}"
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


def _override_rows(
    tokenizers: Sequence[Tokenizer],
    tokens: Mapping[str, int],
    overrides: Mapping[str, TokenSource],
) -> list[tuple[int, bool, int, int]]:
    """The overrides as (row of the merged embedding, force, donor or -1, row of the donor)."""
    found = []
    for token, override in overrides.items():
        if override.model is None:
            found.append((tokens[token], override.force, -1, -1))
            continue
        donor = tokenizers[override.model]
        if override.token_id is not None:
            row = override.token_id
            if not 0 <= row < donor.rows:
                raise CheckpointError(
                    f"token {token!r}: expected a token_id below the {donor.rows} rows of "
                    f"{donor.name}, found {row}"
                )
        else:
            wanted = token if override.token is None else override.token
            if wanted not in donor.tokens:
                why = "no such token"
                if wanted in donor.beyond:
                    why = f"it with id {donor.beyond[wanted]} beyond the {donor.rows} rows there"
                raise CheckpointError(
                    f"token {token!r}: expected {wanted!r} in the vocabulary of {donor.name}, "
                    f"found {why}; name another source"
                )
            row = donor.tokens[wanted]
        found.append((tokens[token], override.force, override.model, row))
    return found


def _fallback(
    own: Rows,
    used: NDArray[np.bool_],
    base: int | None,
    overrides: Sequence[tuple[int, bool, int, int]],
) -> Fallback:
    """Find what stands in for missing rows. Forced rows are taken out of `own`."""
    present = own >= 0
    given = present.copy()
    if base is not None:
        from_base = present[base]
        given[:, from_base] = False
        given[base, from_base] = True
    sources = own
    lacking = used & ~present.all(axis=0)
    if overrides:
        sources = own.copy()
        for target, force, donor, row in overrides:
            given[:, target] = False
            if donor >= 0:
                given[donor, target] = True
                sources[donor, target] = row
            if force:
                own[:, target] = -1
                lacking[target] = True
    targets = np.flatnonzero(lacking)
    position, donors = np.nonzero(given[:, targets].T)
    starts = np.zeros(len(targets) + 1, np.int64)
    np.cumsum(np.bincount(position, minlength=len(targets)), out=starts[1:])
    return Fallback(
        targets=targets,
        starts=starts,
        models=donors.astype(np.int64),
        sources=sources[donors, targets[position]],
    )


# Writing.


def _extended(alignment: Alignment, tokenizers: Sequence[Tokenizer]) -> dict[str, Any]:
    """The chosen tokenizer.json with exactly the tokens of the alignment."""
    taken = tokenizers[alignment.chosen]
    tokens = alignment.tokens
    model = dict(taken.data["model"])
    # Added tokens stand in the model's vocabulary too: that is what pins their ids.
    if taken.kind == "Unigram":
        model["vocab"] = _pieces(alignment, tokenizers)
    else:
        model["vocab"] = dict(sorted(tokens.items(), key=lambda pair: pair[1]))
    if taken.kind == "BPE":
        model["merges"] = _merges(alignment, tokenizers)
    entries = {token: _settings(entry) for token, entry in taken.added.items()}
    entries |= {token: dict(entry) for token, entry in alignment.added.items()}
    added = sorted(
        ({"id": tokens[token], **entry} for token, entry in entries.items()),
        key=lambda entry: int(entry["id"]),
    )
    return {**taken.data, "added_tokens": added, "model": model}


def _pieces(alignment: Alignment, tokenizers: Sequence[Tokenizer]) -> list[tuple[str, float]]:
    """The pieces of a Unigram model, which are their places in a list; new ones with their score.

    Added tokens get the lowest score of the chosen model: they match before it runs.
    """
    taken = tokenizers[alignment.chosen]
    scores: dict[str, float] = {}
    for other in (taken, *tokenizers):
        if other.kind == "Unigram":
            pieces = other.data["model"]["vocab"]
            scores = {token: score for token, score in pieces if token in other.tokens} | scores
    own = [score for token, score in taken.data["model"]["vocab"] if token in taken.tokens]
    lowest = min(own, default=0.0)
    for token in alignment.added:
        scores[token] = lowest
    ordered = sorted(alignment.tokens.items(), key=lambda pair: pair[1])
    return [(token, scores.get(token, lowest)) for token, _ in ordered]


def _merges(alignment: Alignment, tokenizers: Sequence[Tokenizer]) -> list[tuple[str, str]]:
    """The merges of a BPE model: the chosen one's first, then those that make new tokens."""
    taken = tokenizers[alignment.chosen]
    tokens, before = alignment.tokens, taken.tokens
    prefix = taken.data["model"].get("continuing_subword_prefix") or ""
    suffix = taken.data["model"].get("end_of_word_suffix") or ""
    merges = _pairs(taken)
    if taken.beyond:
        merges = [
            (left, right)
            for left, right in merges
            if left in before and right in before and left + right.removeprefix(prefix) in before
        ]
    new = {token for token in tokens if token not in before and token not in alignment.added}
    if not new:
        return merges
    # A merge that makes a token of the chosen tokenizer in another way is left out: it would change
    # texts that have nothing to do with the new tokens.
    for other in tokenizers:
        if other is taken or other.kind != "BPE":
            continue
        merges += [
            (left, right)
            for left, right in _pairs(other)
            if left + right.removeprefix(prefix) in new and left in tokens and right in tokens
        ]
    merges = list(dict.fromkeys(merges))
    return merges if prefix or suffix else _reach(merges, new, alignment, taken)


def _reach(
    merges: list[tuple[str, str]], new: set[str], alignment: Alignment, taken: Tokenizer
) -> list[tuple[str, str]]:
    """Add merges for new tokens whose own merges the earlier ones get in the way of.

    What the earlier merges leave of such a token's text, if it is two pieces, is merged.
    """
    settings = taken.data["model"]
    stuck = [token for token in alignment.tokens if token in new]
    known = dict.fromkeys(merges)
    while True:
        with _loading(f"{taken.name}: its tokenizer, with the merged vocabulary,", _OTHERWISE):
            model = models.BPE(
                vocab=dict(alignment.tokens),
                merges=list(known),
                unk_token=settings.get("unk_token"),
                byte_fallback=bool(settings.get("byte_fallback")),
            )
        left = {token: [piece.value for piece in model.tokenize(token)] for token in stuck}
        pairs = {
            (pieces[0], pieces[1]): None
            for token, pieces in left.items()
            if len(pieces) == 2 and pieces[0] + pieces[1] == token
        }
        if pairs.keys() <= known.keys():
            return list(known)
        known |= pairs
        stuck = [token for token, pieces in left.items() if len(pieces) > 1]


def _pairs(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    merges = tokenizer.data["model"]["merges"]
    parts = (merge if isinstance(merge, list) else merge.split(" ", 1) for merge in merges)
    return [(left, right) for left, right in parts]


def _check_loads(text: str, alignment: Alignment, taken: Tokenizer) -> None:
    with _loading(f"{taken.name}: its tokenizer, with the merged vocabulary,", _OTHERWISE):
        loaded = Library.from_str(text).get_vocab(with_added_tokens=True)
    wrong = [token for token, row in alignment.tokens.items() if loaded.get(token) != row]
    wrong += [token for token in loaded if token not in alignment.tokens]
    if wrong:
        raise CheckpointError(
            f"{taken.name}: its tokenizer cannot hold the merged vocabulary: expected id "
            f"{alignment.tokens.get(wrong[0])} for {wrong[0]!r}, found {loaded.get(wrong[0])}; "
            f"{_OTHERWISE}"
        )


def _write_settings(alignment: Alignment, taken: Tokenizer, into: Path) -> None:
    """Write the files around tokenizer.json, without the tokens that are gone."""
    for name in _SETTINGS_FILES:
        file = taken.folder / name
        if not file.is_file():
            continue
        if file.suffix != ".json":
            shutil.copyfile(file, into / name)
            continue
        gone = taken.beyond.keys() - alignment.tokens.keys()
        settings = _without(_read_json(file, taken.name), gone)
        if "added_tokens_decoder" in settings:
            entries = {**taken.added, **alignment.added}
            ordered = sorted(entries, key=alignment.tokens.__getitem__)
            settings["added_tokens_decoder"] = {
                str(alignment.tokens[token]): _settings(entries[token]) for token in ordered
            }
        text = json.dumps(settings, ensure_ascii=False, indent=2)
        (into / name).write_text(text + "\n", encoding="utf-8")


def _without(settings: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
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


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."
