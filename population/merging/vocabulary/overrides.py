"""Sources of single tokens: where the rule on embedding rows is overridden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from population.errors import CheckpointError
from population.merging.vocabulary.tokenizer import Tokenizer
from population.models.tokenizer_failures import clip


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


def override_rows(
    tokenizers: Sequence[Tokenizer],
    tokens: Mapping[str, int],
    overrides: Mapping[str, TokenSource],
) -> list[tuple[int, bool, int, int]]:
    """The overrides as (row of the merged embedding, force, donor or -1, row of the donor).

    Args:
        tokenizers: one per model.
        tokens: the merged vocabulary.
        overrides: by token.

    Raises:
        CheckpointError: a donor lacks the row or the token.
    """
    rows = []
    for token, override in overrides.items():
        if override.model is None:
            rows.append((tokens[token], override.force, -1, -1))
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
            donor_token = token if override.token is None else override.token
            if donor_token not in donor.tokens:
                reason = "no such token"
                if (outside := donor.out_of_range.get(donor_token)) is not None:
                    reason = f"it with id {outside} beyond the {donor.rows} rows there"
                raise CheckpointError(
                    f"token {token!r}: expected {donor_token!r} in the vocabulary of {donor.name}, "
                    f"found {reason}; name another source"
                )
            row = donor.tokens[donor_token]
        rows.append((tokens[token], override.force, override.model, row))
    return rows


def _token_source(token: str, value: object, numbers: Mapping[str, int]) -> TokenSource:
    def refuse(found: object) -> CheckpointError:
        return CheckpointError(
            f"token {token!r}: expected a source (a model, {{kind: zero}}, or {{kind: model_token, "
            f"model: ..., token or token_id: ...}}) and perhaps force, found {clip(repr(found))}"
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
