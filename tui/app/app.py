"""The app: it holds what is known and where one looks; pages show it, the reader brings it.

Nothing here waits. A reader follows the archive in a thread and posts snapshots; questions are
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
        archive: where it lives, or will.
        settings: the user's.
        campaign: that was started with the screen; None if somebody else runs it, or nobody.

    Attributes:
        snapshot: the colony as it was read last; None before that.
        heartbeat: what a campaign told last; None where none did.
        trouble: why the archive cannot be read; None if it can.
        focused_on: the model that everything is about, how one came to it, and the mark.
        tones: the style of every tone in the theme in use.
        cursor_styles: how rows look without the cursor, with it, and with it in focus.
        signs: what is drawn with.
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
                tooltip=page.about[0].upper() + page.about[1:],
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
        self.questions, self.giving = QueryWorker(self._watcher), QueryWorker(self._watcher)
        for theme in THEMES:
            self.register_theme(theme)
        theme_exists = self.settings.theme in self.available_themes
        self.theme = self.settings.theme if theme_exists else THEMES[0].name
        self.set_keymap(self.settings.keys)
        self.set_class(self.settings.ascii, "-ascii")
        self._dress(self.current_theme)

    # What comes in

    def on_mount(self) -> None:
        """Begin to read, once the first frame is there."""
        self.theme_changed_signal.subscribe(self, self._dress)
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Who ends it from outside gets the terminal back as who presses q does.
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.call_after_refresh(self._watcher.start)
        if self.settings.theme not in self.available_themes:
            self.notify(f"no theme is called {self.settings.theme!r}", severity="warning")

    def on_unmount(self) -> None:
        """Read no longer."""
        self._watcher.stop()
        gc.unfreeze()

    @on(SnapshotRead)
    def _hold(self, message: SnapshotRead) -> None:
        first = self.snapshot is None
        self.snapshot = message.snapshot
        # Another archive may have come to be at this path.
        self.focused_on = self.focused_on.within(self.snapshot.newest)
        if self.page:
            self.page.renew()
        if first:
            # What was just read stays: the collector need not walk over it at every key press.
            self.call_after_refresh(gc.freeze)

    @on(HeartbeatRead)
    def _feel(self, message: HeartbeatRead) -> None:
        beat = (self.heartbeat and self.heartbeat.running) != (
            message.heartbeat and message.heartbeat.running
        )
        self.heartbeat = message.heartbeat
        if self.page:
            self.page.draw_heartbeat(self.heartbeat)
            if beat:
                self.page.draw_tabs()
                self.page.draw_pending()

    @on(ArchiveTrouble)
    def _warn(self, message: ArchiveTrouble) -> None:
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
        """Tell something in passing; whatever it says, it is no markup."""
        words = escaped(message, keep="\n")
        super().notify(words, title=title, severity=severity, timeout=timeout, markup=False)

    # The focus

    def look(self, focus: Focus) -> None:
        """Change the focus, and show that it has changed."""
        if focus == self.focused_on:
            return
        offered = self._offered()
        before, self.focused_on = self.focused_on, focus
        marked = focus.mark != before.mark
        if self.page:
            if marked or (focus.trail, focus.place) != (before.trail, before.place):
                self.page.draw_trail()
            self.page.draw_focus(focus)
            if marked:
                self.page.repaint_lines()
        if self._offered() != offered:
            self.refresh_bindings()

    def _offered(self) -> list[bool | None]:
        """Which keys about the focus there are; the footer is made anew only where that changes."""
        return [self.check_action(action, ()) for action in ("mark", "diff")]

    def glance(self, model: int) -> None:
        """Put a model into focus in passing."""
        self.look(self.focused_on.at(model))

    def open(self, model: int) -> None:
        """Go to a model, and show everything about it."""
        self.action_go(model)
        self._lay("model")

    def action_go(self, model: int) -> None:
        """Go to a model: a click on its id, or its id typed, from any page."""
        if self.snapshot is None or not self.snapshot.has(model):
            newest = 0 if self.snapshot is None else self.snapshot.newest
            self.notify(f"no model #{model}; the newest is #{newest}", severity="warning")
            return
        self.look(self.focused_on.to(model))

    def action_step(self, by: int) -> None:
        """Go back or forward in the history."""
        self.look(self.focused_on.step(by))

    def action_mark(self) -> None:
        """Mark the model in focus."""
        self.look(self.focused_on.marked())

    def action_diff(self) -> None:
        """Compare the model in focus with the marked one, or with its parents."""
        self._lay("diff")

    def _lay(self, name: str) -> None:
        """Lay a page on top, unless it lies there already: it follows the focus."""
        if type(top := new_page(name)) is not type(self.screen):
            self.push_screen(top)

    def action_copy(self) -> None:
        """Copy the id of the model in focus."""
        if self.focused_on.model is not None:
            self.copy_to_clipboard(f"#{self.focused_on.model}")
            self.notify(f"copied #{self.focused_on.model}", timeout=2)

    # The rest

    def action_page(self, name: str) -> None:
        """Show a page, without what was laid on top of it."""
        if name != self.current_mode:
            self.switch_mode(name)
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_command_palette(self) -> None:
        """Offer everything that can be done now."""
        if not isinstance(self.screen, ModalScreen):
            self.push_screen(Palette(id="--command-palette"))

    def action_help(self) -> None:
        """Show what every key does here."""
        if not isinstance(self.screen, ModalScreen):
            self.push_screen(Help())

    async def action_quit(self) -> None:
        """Leave; whose campaign is running is asked what is to become of it."""
        if self.campaign is None or not self.campaign.runs:
            self.exit()
            return
        from tui.app.widgets.quit import Quit  # noqa: PLC0415 - once, at the end

        if not isinstance(self.screen, Quit):
            self.push_screen(Quit(), self._leave)

    def _leave(self, choice: "Choice | None") -> None:
        if choice == "leave":
            self.exit()
        elif choice == "stop" and (campaign := self.campaign):
            campaign.stop()
            self.notify("stopping after the model in hand; q again stops at once", timeout=60)
            self.set_interval(0.1, lambda: None if campaign.runs else self.exit())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense: nothing about a focus or a mark that is not there."""
        if action in ("mark", "copy"):
            return self.focused_on.model is not None
        if action == "diff":
            focus, snapshot = self.focused_on, self.snapshot
            if focus.model is None or snapshot is None or not snapshot.has(focus.model):
                return False
            return focus.mark not in (None, focus.model) or bool(snapshot.parents(focus.model))
        return super().check_action(action, parameters)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What is no key: themes and screenshots; keys are offered by `Commands`."""
        yield SystemCommand("Theme", "Choose and preview colours", self.action_change_theme)
        yield SystemCommand(
            "Screenshot",
            "Save this screen as an SVG",
            lambda: self.set_timer(0.1, self.deliver_screenshot),
        )

    def get_key_display(self, binding: Binding) -> str:
        """How a key is called; in words where signs may be missing."""
        shown = super().get_key_display(binding)
        return shown.translate(_IN_WORDS) if self.settings.ascii else shown

    def _dress(self, theme: Theme) -> None:
        """Take on the colours of a theme."""
        self.tones = tone_styles(self.get_css_variables())
        self.cursor_styles = cursor_styles(self.get_css_variables())
        if self.is_running and self.page:
            self.page.repaint()
