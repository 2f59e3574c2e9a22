"""Rows of the Sources page: all sources, one of them, and the recommended ones."""

from collections.abc import Sequence

from lineage.drawing.text import Span, columns, padded
from population.analysis.recommendation import RecommendedSource
from population.analysis.source_attribution import AvailableSource
from population.merging.preflight import format_size
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.labelled_text import DrawnRow, cropped, wrapped
from tui.app.drawing.rows import ListedRows
from tui.shared.styling import Piece, Signs


def source_rows(
    sources: Sequence[AvailableSource], snapshot: Snapshot, signs: Signs, width: int
) -> ListedRows:
    """A row for each source: founders with what their files say, then the living.

    Args:
        sources: top down.
        snapshot: knows the models.
        signs: to draw with.
        width: of a row, in cells.
    """
    table = [
        [
            Span(f"{snapshot.sign(one.model, signs)} {cropped(one.name, 20, signs)}"),
            Span(cropped(one.fits, 36, signs), "dim" if one.trouble is None else "loss"),
            Span(size(one), "dim"),
            Span((one.profile and one.profile.licence) or signs.dash, "dim"),
            Span(place(one), "dim"),
        ]
        for one in sources
    ]
    drawn = columns(table, (0, 1, 2, 3, 4), width, gap=2)
    return ListedRows(
        [(one.model, one.model, list(row)) for one, row in zip(sources, drawn, strict=True)]
    )


def place(source: AvailableSource) -> str:
    """Whether the weights of a source are a founder's, kept, or made from the recipe."""
    if source.path is None:
        return "recipe"
    return "weights kept" if source.profile is None and source.trouble is None else "founder"


def size(source: AvailableSource) -> str:
    """The size of the tensors of a source, such as "5.1 MB"; empty if not known."""
    return "" if source.profile is None else format_size(source.profile.size)


def one_source_rows(
    source: AvailableSource, snapshot: Snapshot, signs: Signs, width: int
) -> ListedRows:
    """One source: where it lies, its shape and size, whether it fits.

    Args:
        source: to show.
        snapshot: knows the models.
        signs: to draw with.
        width: of a row, in cells.
    """
    rows: list[DrawnRow] = [
        (
            "name",
            source.model,
            [
                Piece(snapshot.sign(source.model, signs) + " ", snapshot.tone(source.model)),
                Piece(snapshot.name(source.model), "strong"),
            ],
        )
    ]
    rows += wrapped("lies in", source.path or "nothing; made from its recipe when needed", width)
    if source.trouble is not None:
        rows += wrapped("trouble", source.trouble, width, "alarm")
    about = source.profile
    if about is None:
        if source.trouble is None:
            parents = ", ".join(f"#{parent}" for parent in snapshot.parents(source.model))
            rows += wrapped("fits", "yes: it is made of founders that fit each other", width)
            rows += wrapped("parents", parents, width)
        return ListedRows(rows)
    shape = f"{about.architecture}, {about.layers} layers, hidden {about.hidden}"
    weight = f"{about.parameters:,} parameters, {about.dtype}, {format_size(about.size)}"
    rows += wrapped("fits", about.fits, width, "loss" if about.fits.startswith("no") else "plain")
    rows += wrapped("is", f"{shape}, vocabulary {about.vocabulary:,}", width)
    rows += wrapped("size", weight, width)
    rows += wrapped("licence", about.licence or "no model card states one", width)
    return ListedRows(rows)


def choice_rows(
    chosen: Sequence[RecommendedSource], snapshot: Snapshot, signs: Signs, width: int
) -> ListedRows:
    """The recommended sources with the reasons, in rows of `width` cells."""
    rows: list[DrawnRow] = []
    for place, one in enumerate(chosen, start=1):
        head = [
            Piece(f"{place}  ", "head"),
            Piece(snapshot.sign(one.model, signs) + " ", snapshot.tone(one.model)),
            Piece(padded(snapshot.name(one.model), 14), "strong"),
        ]
        rows.append((one.model, one.model, list(head)))
        rows += wrapped(f" {place}", one.reason, width)
    return ListedRows(rows)
