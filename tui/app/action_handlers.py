"""Carries out campaign actions from any page: prompts, submits commands, exports."""

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from population.errors import PopulationError
from population.references import expand_user
from tui.app.actions import BY_KIND, CampaignAction, bindings, objection
from tui.app.data.archive_watcher import CommandsRead
from tui.app.data.query_worker import Answered, QueryWorker
from tui.app.exporting import Export
from tui.app.pages.page import Page
from tui.app.widgets.pending_commands import CommandsDialog, outcome_line, settled_between
from tui.app.widgets.prompt_dialog import PromptDialog

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.commands.definitions import CommandState
    from lineage.records import Command, CommandKind
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot
    from tui.shared.heartbeat import Heartbeat

NOTICE_S = 10.0
"""How long a notice of an outcome is shown, in seconds."""


class ActionHandlers(App[None]):
    """An app with campaign actions, and the state that they are checked against.

    Attributes:
        archive: its path.
        snapshot: of the archive; None before it was read.
        heartbeat: the last of a campaign; None if there never was one.
        focused_on: the model in focus, and the mark.
        command_worker: submits commands, apart from queries: hashing a founder takes long.
        command_state: commands given so far; None before the archive was read.
        exporting: the export that is running, if one is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(),
        Binding(
            "O", "orders", "Commands", id="action.orders", show=False,
            tooltip="The commands given to the campaign, and their outcomes",
        ),
    ]  # fmt: skip

    archive: Path
    snapshot: "Snapshot | None"
    heartbeat: "Heartbeat | None"
    focused_on: "Focus"
    command_worker: QueryWorker
    command_state: "CommandState | None" = None
    exporting: Export | None = None
    _numbers = itertools.count()

    @property
    def page(self) -> Page | None:
        """The page on top, once it is mounted; None while a dialog or nothing is on top."""
        screen = self._top_screen
        return screen if isinstance(screen, Page) else None

    @property
    def _top_screen(self) -> Screen[object] | None:
        """The screen on top; None before one is mounted and while the app ends."""
        screen = self.screen_stack[-1] if self.is_running and self.screen_stack else None
        return screen if screen and screen.is_mounted else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action can be done now; Textual offers only those."""
        if action == "campaign":
            return self._objection(BY_KIND[parameters[0]]) is None  # type: ignore[index]
        return True

    def action_campaign(self, kind: str) -> None:
        """Do an action, after a dialog where something has to be typed or confirmed."""
        action = BY_KIND[kind]
        if self._objection(action):
            self.action_why(kind)
            return
        models = action.models(self.focused_on) or ()
        if not action.example and not action.confirmation:
            self._execute(action, models)
            return
        named = " ".join(self.snapshot.name(model) for model in models) if self.snapshot else ""
        explanation = action.confirmation.format(named) or f"{action.description}."
        value = str(self._budget() or "") if action.kind == "budget" else ""
        title = f"{action.title.lower()} {named}".strip()
        self.push_screen(
            PromptDialog(
                title, explanation, partial(self._execute, action, models), action.example, value
            )
        )

    def action_why(self, kind: str) -> None:
        """Show why an action cannot be done now."""
        if reason := self._objection(BY_KIND[kind]):
            self.notify(reason, severity="warning", markup=False)

    def action_orders(self) -> None:
        """Show all commands and their outcomes."""
        self.push_screen(CommandsDialog())

    def draw_pending(self) -> None:
        """Draw open commands and the export again, on a page or in the dialog on top."""
        screen = self._top_screen
        if isinstance(screen, Page):
            screen.draw_pending()
        elif isinstance(screen, CommandsDialog):
            screen.draw()

    # Messages

    @on(CommandsRead)
    def _store_command_state(self, message: CommandsRead) -> None:
        before, self.command_state = self.command_state, message.command_state
        for command in settled_between(before, message.command_state):
            self.notify(
                outcome_line(command),
                severity="information" if command.outcome == "done" else "warning",
                timeout=NOTICE_S, markup=False,
            )  # fmt: skip
        self.draw_pending()
        if self._top_screen is not None:  # an app that is closing has none
            self.refresh_bindings()

    def on_answered(self, message: Answered) -> None:
        """Handle that a command was accepted or refused."""
        message.take(message.answer)

    # Commands

    def _objection(self, action: CampaignAction) -> str | None:
        return objection(action, self.command_state, self.snapshot, self.focused_on)

    def _budget(self) -> int | None:
        from tui.app.drawing.campaign_status import spending  # noqa: PLC0415 - NumPy, after the first paint

        return spending(self.snapshot, self.heartbeat)[1] if self.snapshot else None

    def _execute(
        self,
        action: CampaignAction,
        models: tuple[int, ...],
        typed: str = "",
        screen: PromptDialog | None = None,
    ) -> None:
        if action.kind != "export":
            self._submit(action.kind, models, typed or None, screen)
        elif screen is not None:
            self._export(models[0], typed, screen)

    def _submit(
        self,
        kind: "CommandKind",
        models: tuple[int, ...],
        argument: str | None,
        screen: PromptDialog | None,
    ) -> None:
        """Submit a command in a thread; its dialog may be closed before the answer comes."""
        self.command_worker.ask(
            self,
            f"command {next(self._numbers)}",  # a name of its own, so that none replaces another
            partial(_submitted, kind, models, argument),
            partial(self._notify_submitted, screen),
            partial(self._notify_refused, screen),
        )

    def _notify_submitted(self, screen: PromptDialog | None, given: "tuple[Command, bool]") -> None:
        command, runs = given
        if screen is not None and screen.is_current:
            screen.dismiss()
        when = (
            "carried out between two generations"
            if runs
            else "no campaign is running, so it waits for colony run"
        )
        self.notify(f"command {command.id}: {command.words}; {when}", markup=False)

    def _notify_refused(self, screen: PromptDialog | None, reason: str) -> None:
        if screen is not None and screen.is_current:
            screen.refuse(reason)
        else:
            self.notify(reason, severity="warning", timeout=NOTICE_S, markup=False)

    # Exports

    def _export(self, model: int, typed: str, screen: PromptDialog) -> None:
        if not typed:
            screen.refuse("which folder? it must not exist yet")
        elif self.exporting is not None:
            screen.refuse(f"#{self.exporting.model} is being exported; one at a time")
        else:
            folder = Path(expand_user(typed))
            self.command_worker.ask(
                self,
                "export",
                partial(_check_folder, folder),
                lambda _: self._begin_export(model, folder, screen),
                partial(self._notify_refused, screen),
            )

    def _begin_export(self, model: int, folder: Path, screen: PromptDialog) -> None:
        if not screen.is_current:
            return  # closing the dialog cancels it
        screen.dismiss()
        self.exporting = Export(self.archive, model, folder)
        self.draw_pending()
        self.run_worker(self._await_export(self.exporting), group="export")

    async def _await_export(self, export: Export) -> None:
        try:
            done, explanation = await export.run(self.draw_pending)
        finally:
            self.exporting = None
        self.notify(
            explanation if done else f"#{export.model} was not exported: {explanation}",
            severity="information" if done else "error", timeout=NOTICE_S, markup=False,
        )  # fmt: skip
        self.draw_pending()


def _check_folder(folder: Path, _: "Archive") -> None:
    """Check, in a thread, that an export overwrites nothing.

    Raises:
        ArchiveError: something is there already, or cannot be read.
    """
    from lineage.errors import ArchiveError  # noqa: PLC0415 - see _submitted
    from population.merging.writer import check_unused  # noqa: PLC0415

    try:
        check_unused(folder)
    except (PopulationError, OSError) as error:
        raise ArchiveError(str(error)) from None


def _submitted(
    kind: "CommandKind", models: tuple[int, ...], argument: str | None, archive: "Archive"
) -> "tuple[Command, bool]":
    """Submit a command, in a thread; returns it, and whether a campaign is running.

    Raises:
        CommandError: it was refused.
        ArchiveError: the archive cannot be written.
    """
    from lineage.commands.definitions import submit  # noqa: PLC0415
    from lineage.errors import CommandError  # noqa: PLC0415 - in a thread, when first asked
    from lineage.storage.lock import campaign_holder  # noqa: PLC0415

    if kind == "add-founder" and argument:
        from population.campaign.joining import open_newcomer  # noqa: PLC0415

        try:
            newcomer, _ = open_newcomer(archive, argument)
        except (PopulationError, OSError) as error:
            raise CommandError(str(error)) from None
        argument = newcomer.reference
    command = submit(archive, kind, models, argument)
    return command, campaign_holder(archive.path) is not None
