"""Pages about one model, with a cursor that moves over others.

Such a page shows the model in focus, its root. Moving the cursor on the page changes the focus too,
but not the root: else the page would change under the cursor.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

from tui.app.pages.page import Page
from tui.app.widgets.virtual_list import VirtualList

if TYPE_CHECKING:
    from tui.app.data.focus import Focus


class PinnedPage(Page):
    """A page about a model.

    Attributes:
        root: the model that it is about; None before there is one.
        cursor: the model under the cursor: the root, or another one on this page.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root: int | None = None
        self.cursor: int | None = None
        self._comes = False

    @abstractmethod
    def draw_root(self) -> None:
        """Show the root."""

    def draw_cursor(self) -> None:
        """Show what belongs to the model under the cursor.

        At once, together with the moved cursor: a second paint would take as long as the first.
        """

    def renew(self) -> None:
        """Show everything again; the model in focus on another page becomes the root."""
        self._comes = True
        super().renew()
        self._comes = False

    def draw_focus(self, focus: "Focus") -> None:
        """Make the model in focus the root, unless only the cursor moved."""
        snapshot, model = self.app.snapshot, focus.model
        if snapshot is None or model is None or not snapshot.has(model):
            return
        other = model != self.cursor or self.root is None
        self.cursor = model
        if other and (focus.glance is None or self._comes or self.root is None):
            self.root = model
            self.draw_root()
        self.draw_cursor()

    def enter(self, model: int) -> None:
        """Make a model the root, also if it is in focus already; both go into the history."""
        if self.root is not None:
            self.cursor = self.root  # nothing is drawn in between
            self.app.action_go(self.root)
        self.root = None
        self.app.action_go(model)
        self.draw_focus(self.app.focused_on)

    def on_virtual_list_opened(self, message: VirtualList.Opened) -> None:
        """Make a model that was opened the root."""
        message.prevent_default()
        if message.model is not None:
            self.opened(message.model, message.lines)

    def opened(self, model: int, lines: VirtualList) -> None:
        """Make a model that was opened in a list the root."""
        self.enter(model)
