"""The app: it holds the snapshot, the heartbeat and the focus, and pages show them.

Nothing here waits. A watcher follows the archive in a thread and posts snapshots; queries are
answered in another; pages draw what they are given.
"""

import asyncio
import gc
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.theme import Theme

from lineage.escaping import escaped
from tui.app.action_handlers import ActionHandlers
from tui.app.commands import Commands
from tui.app.data.archive_watcher import ArchiveTrouble, ArchiveWatcher, HeartbeatRead, SnapshotRead
from tui.app.data.focus import Focus
from tui.app.data.page_registry import PAGES, new_page
from tui.app.data.query_worker import QueryWorker
from tui.app.data.settings import ScreenSettings
from tui.app.themes import THEMES
from tui.app.widgets.dialogs import Palette
from tui.app.widgets.help import Help
from tui.shared.styling import ASCII_SIGNS, RICH_SIGNS, cursor_styles, tone_styles

if TYPE_CHECKING:
    from tui.app.campaign import CampaignProcess
    from tui.app.data.snapshot import Snapshot
    from tui.app.widgets.quit import Choice
    from tui.shared.heartbeat import Heartbeat


_IN_WORDS = str.maketrans({"⏎": "enter", "↑": "up", "↓": "down", "←": "left", "→": "right"})


class ColonyApp(ActionHandlers):
    """Shows a colony, live or at rest.

    Args:
        archive: its path; it need not exist yet.
        settings: the user's.
        campaign: the process that was started with the app; None if there is none.

    Attributes:
        snapshot: the archive as it was read last; None before that.
        heartbeat: the last of a campaign; None if there never was one.
        trouble: why the archive cannot be read; None if it can.
        focused_on: the model in focus, the history, and the mark.
        tones: the style of every tone in the theme in use.
        cursor_styles: of rows without the cursor, with it, and with it in the focused list.
        signs: that pages are drawn with.
    """

    TITLE = "colony"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, Any]] = {page.name: page.load for page in PAGES if page.key}
    DEFAULT_MODE = "colony"
    # Textual declares these as what an instance has.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (150, "-very-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    COMMANDS: ClassVar[set[Any]] = App.COMMANDS | {Commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                page.key, f"page({page.name!r})", page.title, id=f"page.{page.name}", show=False,
                tooltip=page.description[0].upper() + page.description[1:],
            )
            for page in PAGES if page.key
        ),
        Binding(
            "left_square_bracket", "step(-1)", "Back", id="focus.back", key_display="[",
            show=False, tooltip="The model that was in focus before",
        ),
        Binding(
            "right_square_bracket", "step(1)", "Forward", id="focus.forward", key_display="]",
            show=False, tooltip="The model that was in focus after this one",
        ),
        Binding("m", "mark", "Mark", id="focus.mark", tooltip="Mark the model in focus"),
        Binding("d", "diff", "Diff", id="focus.diff", tooltip="Compare it with the marked one"),
        Binding("y", "copy", "Copy id", id="focus.copy", show=False, tooltip="Copy its #id"),
        Binding(
            "question_mark", "help", "Help", id="app.help", key_display="?",
            tooltip="What every key does here",
        ),
        Binding("ctrl+p", "command_palette", "Commands", id="app.commands", tooltip="Everything"),
        Binding("q", "quit", "Quit", id="app.quit", show=False, tooltip="Leave"),
        Binding("ctrl+q", "quit", "Quit", id="app.quit2", show=False, tooltip="Leave", system=True),
    ]  # fmt: skip

    def __init__(
        self,
        archive: Path,
        settings: ScreenSettings | None = None,
        campaign: "CampaignProcess | None" = None,
    ) -> None:
        super().__init__()
        self.settings = settings or ScreenSettings()
        self.archive, self.campaign = archive, campaign
        self.snapshot: Snapshot | None = None
        self.heartbeat: Heartbeat | None = None
        self.trouble: str | None = None
        self.focused_on = Focus()
        self.signs = ASCII_SIGNS if self.settings.ascii else RICH_SIGNS
        self._watcher = ArchiveWatcher(
            archive, self.post_message, lambda: campaign is not None and campaign.runs
        )
        self.query_worker, self.command_worker = (
            QueryWorker(self._watcher),
            QueryWorker(self._watcher),
        )
        for theme in THEMES:
            self.register_theme(theme)
        theme_exists = self.settings.theme in self.available_themes
        self.theme = self.settings.theme if theme_exists else THEMES[0].name
        self.set_keymap(self.settings.keys)
        self.set_class(self.settings.ascii, "-ascii")
        self._apply_theme(self.current_theme)

    # Messages

    def on_mount(self) -> None:
        """Start the watcher, once the first frame is painted."""
        self.theme_changed_signal.subscribe(self, self._apply_theme)
        for number in (signal.SIGTERM, signal.SIGHUP):
            # The terminal is restored as it is after q.
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.call_after_refresh(self._watcher.start)
        if self.settings.theme not in self.available_themes:
            self.notify(f"no theme is called {self.settings.theme!r}", severity="warning")

    def on_unmount(self) -> None:
        """Stop the watcher."""
        self._watcher.stop()
        gc.unfreeze()

    @on(SnapshotRead)
    def _store_snapshot(self, message: SnapshotRead) -> None:
        first = self.snapshot is None
        self.snapshot = message.snapshot
        # Another archive may have been put at this path.
        self.focused_on = self.focused_on.within(self.snapshot.newest)
        if self.page:
            self.page.renew()
        if first:
            # The snapshot stays, so the garbage collector need not visit it at every key press.
            self.call_after_refresh(gc.freeze)

    @on(HeartbeatRead)
    def _store_heartbeat(self, message: HeartbeatRead) -> None:
        changed = (self.heartbeat and self.heartbeat.running) != (
            message.heartbeat and message.heartbeat.running
        )
        self.heartbeat = message.heartbeat
        if self.page:
            self.page.draw_heartbeat(self.heartbeat)
            if changed:
                self.page.draw_tabs()
                self.page.draw_pending()

    @on(ArchiveTrouble)
    def _show_trouble(self, message: ArchiveTrouble) -> None:
        self.trouble = message.words
        if self.page:
            self.page.draw_trouble(self.trouble)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notice; nothing in it is markup."""
        words = escaped(message, keep="\n")
        super().notify(words, title=title, severity=severity, timeout=timeout, markup=False)

    # The focus

    def set_model_focus(self, focus: Focus) -> None:
        """Set the focus, and draw what depends on it."""
        if focus == self.focused_on:
            return
        available = self._available_focus_keys()
        before, self.focused_on = self.focused_on, focus
        marked = focus.mark != before.mark
        if self.page:
            if marked or (focus.trail, focus.place) != (before.trail, before.place):
                self.page.draw_trail()
            self.page.draw_focus(focus)
            if marked:
                self.page.repaint_lines()
        if self._available_focus_keys() != available:
            self.refresh_bindings()

    def _available_focus_keys(self) -> list[bool | None]:
        """Which keys about the focus work; the footer is built again only if that changes."""
        return [self.check_action(action, ()) for action in ("mark", "diff")]

    def glance(self, model: int) -> None:
        """Put a model into focus without adding it to the history."""
        self.set_model_focus(self.focused_on.at(model))

    def open(self, model: int) -> None:
        """Go to a model, and show its page."""
        self.action_go(model)
        self._push_page("model")

    def action_go(self, model: int) -> None:
        """Put a model into focus: after a click on its id, or its id typed, on any page."""
        if self.snapshot is None or not self.snapshot.has(model):
            newest = 0 if self.snapshot is None else self.snapshot.newest
            self.notify(f"no model #{model}; the newest is #{newest}", severity="warning")
            return
        self.set_model_focus(self.focused_on.to(model))

    def action_step(self, by: int) -> None:
        """Go back or forward in the history."""
        self.set_model_focus(self.focused_on.step(by))

    def action_mark(self) -> None:
        """Mark the model in focus."""
        self.set_model_focus(self.focused_on.marked())

    def action_diff(self) -> None:
        """Compare the model in focus with the marked one, or with its parents."""
        self._push_page("diff")

    def _push_page(self, name: str) -> None:
        """Push a page on top, unless it is there already: it follows the focus."""
        if type(top := new_page(name)) is not type(self.screen):
            self.push_screen(top)

    def action_copy(self) -> None:
        """Copy the id of the model in focus."""
        if self.focused_on.model is not None:
            self.copy_to_clipboard(f"#{self.focused_on.model}")
            self.notify(f"copied #{self.focused_on.model}", timeout=2)

    # Pages and dialogs

    def action_page(self, name: str) -> None:
        """Show a page, without any page on top of it."""
        if name != self.current_mode:
            self.switch_mode(name)
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, ModalScreen):
            self.push_screen(Palette(id="--command-palette"))

    def action_help(self) -> None:
        """Show what every key does here."""
        if not isinstance(self.screen, ModalScreen):
            self.push_screen(Help())

    async def action_quit(self) -> None:
        """Quit; if a campaign was started with the app, ask whether to stop it."""
        if self.campaign is None or not self.campaign.runs:
            self.exit()
            return
        from tui.app.widgets.quit import Quit  # noqa: PLC0415 - once, at the end

        if not isinstance(self.screen, Quit):
            self.push_screen(Quit(), self._act_on_choice)

    def _act_on_choice(self, choice: "Choice | None") -> None:
        if choice == "leave":
            self.exit()
        elif choice == "stop" and (campaign := self.campaign):
            campaign.stop()
            self.notify("stopping after the current model; q again stops at once", timeout=60)
            self.set_interval(0.1, lambda: None if campaign.runs else self.exit())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action can be done now; Textual offers only those."""
        if action in ("mark", "copy"):
            return self.focused_on.model is not None
        if action == "diff":
            focus, snapshot = self.focused_on, self.snapshot
            if focus.model is None or snapshot is None or not snapshot.has(focus.model):
                return False
            return focus.mark not in (None, focus.model) or bool(snapshot.parents(focus.model))
        return super().check_action(action, parameters)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Palette entries without a key: themes and screenshots. `Commands` adds the others."""
        yield SystemCommand("Theme", "Choose and preview colours", self.action_change_theme)
        yield SystemCommand(
            "Screenshot",
            "Save this screen as an SVG",
            lambda: self.set_timer(0.1, self.deliver_screenshot),
        )

    def get_key_display(self, binding: Binding) -> str:
        """The name of a key; in words where signs may be missing."""
        shown = super().get_key_display(binding)
        return shown.translate(_IN_WORDS) if self.settings.ascii else shown

    def _apply_theme(self, theme: Theme) -> None:
        """Use the colours of a theme."""
        self.tones = tone_styles(self.get_css_variables())
        self.cursor_styles = cursor_styles(self.get_css_variables())
        if self.is_running and self.page:
            self.page.repaint()
