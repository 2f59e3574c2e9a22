"""Pages about one model on which a cursor passes over others.

What such a page shows follows the model in focus, its root. But moving the cursor on the page only
glances at others: the page would change under the cursor if it followed that too.
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
        cursor: the model that was looked at last: the root, or another one on this page.
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
        """Show what there is to say of the model under the cursor.

        At once, in the paint that moves the cursor: a second paint would take as long as the first.
        """

    def renew(self) -> None:
        """Show everything that is known; who was looked at on another page is the root here."""
        self._comes = True
        super().renew()
        self._comes = False

    def draw_focus(self, focus: "Focus") -> None:
        """Root the page at the model in focus, unless it is only the cursor that moved."""
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
        """Make a model the root, also if it is in focus already; the history keeps both."""
        if self.root is not None:
            self.cursor = self.root  # nothing is drawn on the way
            self.app.action_go(self.root)
        self.root = None
        self.app.action_go(model)
        self.draw_focus(self.app.focused_on)

    def on_virtual_list_opened(self, message: VirtualList.Opened) -> None:
        """Turn to a model."""
        message.prevent_default()
        if message.model is not None:
            self.opened(message.model, message.lines)

    def opened(self, model: int, lines: VirtualList) -> None:
        """Turn to a model that was opened in a list."""
        self.enter(model)
