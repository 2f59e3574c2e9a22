"""Labels that a colony without keys made for itself, with the items that they are of."""

from dataclasses import dataclass

from lineage.archive.archive import Archive
from lineage.records import Item, Label, stored_item


@dataclass(frozen=True)
class LabelledItem:
    """An item with its label."""

    item: Item
    label: Label


def labelled_items(archive: Archive, epoch: int | None = None) -> list[LabelledItem]:
    """The labels of an epoch, kept ones and others, task by task; none where a key or jury scores.

    Args:
        archive: where to look.
        epoch: of the labels; None for the last one that has any.
    """
    with archive.reading() as db:
        rows = db.execute(
            "SELECT id, task, split, prompt, key, statement, details, "
            "answer, model, confidence, kept "
            "FROM labels JOIN items ON items.id = item "
            "WHERE epoch = coalesce($epoch, (SELECT max(epoch) FROM labels)) ORDER BY task, id",
            {"epoch": epoch},
        ).fetchall()
    return [LabelledItem(stored_item(*row[:7]), Label(row[0], *row[7:])) for row in rows]
