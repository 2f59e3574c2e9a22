"""Lists of kin: those that lenses are, and the one beside a lens."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.app.widgets.virtual_list import VirtualList
from tui.shared.styling import heading

if TYPE_CHECKING:
    from lineage.ancestry.parent_edges import Ids
    from tui.app.data.snapshot import Snapshot


class KinVirtualList(VirtualList, inherit_bindings=False):
    """A list on a page where `g` is a lens, and nothing comes in above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        replace(known, key="home") if known.id == "list.first" else known
        for known in VirtualList.BINDINGS
        if isinstance(known, Binding) and known.id != "list.follow"
    ]


class KinList(KinVirtualList):
    """Models beside a lens: somebody's children, or those of a cell of the map."""

    def tell(self, snapshot: "Snapshot", models: "Ids", title: str) -> None:
        """Show models, and say in the title how many they are and how many of them live."""
        from lineage.queries.columns import LIVING  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.drawing.lineage_rows import FewRows  # noqa: PLC0415

        living = int((snapshot.columns.died[models] == LIVING).sum())
        self.border_title = heading(f"{title}: {len(models):,}, {living:,} alive")
        self.follows = True  # a list about somebody else begins at its top
        self.show(FewRows(snapshot, models, self.app.signs))
