"""Reading rows of `models`: by id, by life, or by what a person types."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from lineage.errors import ArchiveError
from lineage.filters.language import suggestion
from lineage.records import Model, Parent

_MODELS = """
SELECT id, kind, name, generation, operator, weights_sha256, died, cause,
       fingerprint, parents, shares, roles::VARCHAR[]
FROM models
WHERE ($ids IS NULL OR id IN $ids) AND ($living IS NULL OR (died IS NULL) = $living)
ORDER BY id
"""

MIN_HASH = 4
"""Characters of a hash that name a model, at least."""

_BY_NAME_OR_HASH = f"""
SELECT id FROM models WHERE name IN ($name, $text)
    OR (length($text) >= {MIN_HASH} AND (starts_with(weights_sha256, $text)
                                         OR starts_with(fingerprint, $text)))
"""  # noqa: S608 - a constant of ours


def read_models(
    db: duckdb.DuckDBPyConnection, ids: Iterable[int] | None = None, living: bool | None = None
) -> list[Model]:
    """Models with their parents, by id.

    Args:
        db: a lease of the archive.
        ids: of these models only; ids that no model has are left out.
        living: the living only, or the fossils only.
    """
    chosen = None if ids is None else sorted(set(ids))
    rows = db.execute(_MODELS, {"ids": chosen, "living": living}).fetchall()
    return [_model(row) for row in rows]


def find_model(db: duckdb.DuckDBPyConnection, path: Path, reference: str) -> Model:
    """The model that a person means.

    Args:
        db: a lease of the archive.
        path: of the archive, for messages.
        reference: an id, `#id`, a founder's name, `champion`, or the beginning of a SHA-256
            or a fingerprint.

    Raises:
        ArchiveError: no model fits, or more than one.
    """
    text = reference.strip()
    if text == "champion":
        champion = db.execute("SELECT arg_max(champion, generation) FROM generations").fetchone()
        if not champion or champion[0] is None:
            raise ArchiveError(f"{path} has no champion yet: no generation is complete")
        text = str(champion[0])
    number = text.removeprefix("#")
    fitting: list[Model] = []
    if number.isascii() and number.isdecimal() and len(number) < 10:
        fitting = read_models(db, [int(number)])
    if not fitting:
        ids = db.execute(_BY_NAME_OR_HASH, {"name": reference, "text": text}).fetchall()
        fitting = read_models(db, [model for (model,) in ids])
    if not fitting:
        raise ArchiveError(
            f"no model {reference!r} in {path}{_hint(db, number)}; `colony models --all` lists them"
        )
    if len(fitting) > 1:
        raise ArchiveError(
            f"{reference!r} fits {len(fitting)} models: "
            + ", ".join(model.label for model in fitting[:5])
        )
    return fitting[0]


def _hint(db: duckdb.DuckDBPyConnection, number: str) -> str:
    """What may have been meant, to be added to a message."""
    if number.isdecimal():
        ((newest,),) = db.execute("SELECT max(id) FROM models").fetchall()
        return f"; its ids go from 1 to {newest}"
    names = db.execute("SELECT name FROM models WHERE name IS NOT NULL ORDER BY id").fetchall()
    return suggestion(number, [name for (name,) in names])


def _model(row: tuple[Any, ...]) -> Model:
    """A row of `_MODELS`; the parent with the greatest share comes first."""
    *own, fingerprint, parents, shares, roles = row
    links = sorted(zip(parents, shares, roles, strict=True), key=lambda link: (-link[1], link[0]))
    parents = tuple(Parent(*link) for link in links)
    return replace(Model(*own), parents=parents, fingerprint=fingerprint)
