"""Lists of kin: the views that are lists, and the list beside a view."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.app.widgets.virtual_list import VirtualList
from tui.shared.styling import heading

if TYPE_CHECKING:
    from lineage.ancestry.parent_edges import Ids
    from tui.app.data.snapshot import Snapshot


class KinVirtualList(VirtualList, inherit_bindings=False):
    """A list on a page where `g` shows a view, and no new rows come in above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        replace(binding, key="home") if binding.id == "list.first" else binding
        for binding in VirtualList.BINDINGS
        if isinstance(binding, Binding) and binding.id != "list.follow"
    ]


class KinList(KinVirtualList):
    """Models beside a view: the children of one, or those of a cell of the map."""

    def show_models(self, snapshot: "Snapshot", models: "Ids", title: str) -> None:
        """Show models, with their number and how many of them live in the title.

        Args:
            snapshot: knows them.
            models: their ids, top down, shape (models,).
            title: what they are.
        """
        from lineage.queries.columns import LIVING  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.drawing.lineage_rows import BriefModelRows  # noqa: PLC0415

        living = int((snapshot.columns.died[models] == LIVING).sum())
        self.border_title = heading(f"{title}: {len(models):,}, {living:,} alive")
        self.follows = True  # a list of other models begins at its top
        self.show(BriefModelRows(snapshot, models, self.app.signs))
