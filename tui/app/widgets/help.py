"""What every key does: made from the bindings of the focused widget, its page and the app.

Each has a name, by which `[keys]` in the settings gives it another key.
"""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.app.data.settings import settings_path
from tui.app.widgets.dialogs import Dialog


class Help(Dialog[None]):
    """The keys that work at this moment."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close", id="help.close", key_display="esc")
    ]

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll {
        width: 84; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 0 1;
    }
    """

    def compose(self) -> ComposeResult:
        """One table."""
        with VerticalScroll(can_focus=True) as box:
            box.border_title = "keys"
            yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        """Fill it with what works on the screen below."""
        below = self.app.screen_stack[-2]
        table = Table(box=None, pad_edge=False, padding=(0, 1), expand=True)
        for head in ("key", "does", "name"):
            table.add_column(head, no_wrap=head != "does", header_style="bold")
        keys: dict[tuple[str, str], list[str]] = {}
        explained: dict[tuple[str, str], Binding] = {}
        for active in below.active_bindings.values():
            binding = active.binding
            # Bindings of Textual itself have no id, and are not listed.
            if active.enabled and binding.description and binding.id:
                name_of_binding = type(active.node).__name__, binding.id
                keys.setdefault(name_of_binding, []).append(self.app.get_key_display(binding))
                explained[name_of_binding] = binding
        group = None
        for (where, name), binding in explained.items():
            if where != group:
                group = where
                title = where.lower().removesuffix("page").replace("colonyapp", "everywhere")
                table.add_row("", Text(title, "bold underline"), "")
            explanation = binding.tooltip or binding.description
            table.add_row(Text(" ".join(keys[where, name]), "bold"), explanation, Text(name, "dim"))
        foot = Text(f"\nOther keys: [keys] in {settings_path()}", "dim")
        grid = Table.grid(expand=True)
        grid.add_row(table)
        grid.add_row(foot)
        self.query_one("#keys", Static).update(grid)
