"""The pages of the app as data: to add one, write its module and list it here."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tui.app.pages.page import Page


@dataclass(frozen=True)
class PageEntry:
    """A page that can be shown.

    Attributes:
        name: of its mode, and of what its key does ("page.NAME").
        key: that shows it; None where it is opened from other pages.
        title: as people read it.
        where: "module:class"; loaded when it is first shown.
        description: a line for the help and the palette.
    """

    name: str
    key: str | None
    title: str
    where: str
    description: str

    def load(self) -> "Page":
        """A new page of this kind."""
        module, kind = self.where.split(":")
        return cast("Page", getattr(import_module(module), kind)())


PAGES = (
    PageEntry(
        "colony", "1", "Colony", "tui.app.pages.colony:ColonyPage",
        "the campaign: fitness, what is done now, champions, events, diversity",
    ),
    PageEntry(
        "board", "2", "Board", "tui.app.pages.board:BoardPage",
        "all living models, to sort and to filter",
    ),
    PageEntry(
        "arena", "3", "Arena", "tui.app.pages.arena:ArenaPage",
        "matches with every judge's vote, and how reliable each judge is",
    ),
    PageEntry(
        "lineage", "4", "Lineage", "tui.app.pages.lineage:LineagePage",
        "where a model comes from: its line, its pedigree, a graph, the map of all births",
    ),
    PageEntry(
        "sources", "5", "Sources", "tui.app.pages.sources:SourcesPage",
        "what can be merged, where it lies and whether it fits; and what should be for a task",
    ),
    PageEntry(
        "model", None, "Model", "tui.app.pages.model:ModelPage",
        "everything about one: recipe, founders by block, scores, rating, children",
    ),
    PageEntry(
        "diff", None, "Diff", "tui.app.pages.diff:DiffPage",
        "the model in focus beside the marked one, or between its parents",
    ),
)  # fmt: skip
"""Pages with a key are modes that one switches between; the others are about the model in focus
and are pushed on top: "model" by enter, "diff" by d."""


def new_page(name: str) -> "Page":
    """A new page of this name.

    Raises:
        StopIteration: there is none.
    """
    return next(page for page in PAGES if page.name == name).load()
