"""Carries out campaign actions from any page: asks what is missing, gives commands, exports."""

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

LONG_S = 10.0
"""How long it is shown what came of something that was waited for."""


class ActionHandlers(App[None]):
    """What an app needs for campaign actions, and the state that they are checked against.

    Attributes:
        archive: of the colony.
        snapshot: of it; None before it was read.
        heartbeat: what a campaign told last; None where none did.
        focused_on: the model that everything is about, and the mark.
        giving: gives orders, beside all questions: hashing a founder takes its time.
        asked: what was asked of the campaign; None before the archive was read.
        exporting: the export that is running.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(),
        Binding(
            "O", "orders", "Commands", id="action.orders", show=False,
            tooltip="What was asked of the campaign, and what came of it",
        ),
    ]  # fmt: skip

    archive: Path
    snapshot: "Snapshot | None"
    heartbeat: "Heartbeat | None"
    focused_on: "Focus"
    giving: QueryWorker
    asked: "CommandState | None" = None
    exporting: Export | None = None
    _numbers = itertools.count()

    @property
    def page(self) -> Page | None:
        """The page that is seen, once it is there to be drawn on; one that comes draws itself."""
        screen = self._seen
        return screen if isinstance(screen, Page) else None

    @property
    def _seen(self) -> Screen[object] | None:
        """What is seen; an app that ends prunes what it shows, and has no screen at last."""
        screen = self.screen_stack[-1] if self.is_running and self.screen_stack else None
        return screen if screen and screen.is_mounted else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the actions that make sense now."""
        if action == "campaign":
            return self._objection(BY_KIND[parameters[0]]) is None  # type: ignore[index]
        return True

    def action_campaign(self, kind: str) -> None:
        """Do something, once what has to be typed or to be sure of is known."""
        action = BY_KIND[kind]
        if self._objection(action):
            self.action_why(kind)
            return
        models = action.models(self.focused_on) or ()
        if not action.example and not action.sure:
            self._take(action, models)
            return
        named = " ".join(self.snapshot.name(model) for model in models) if self.snapshot else ""
        words = action.sure.format(named) or f"{action.about}."
        value = str(self._budget() or "") if action.kind == "budget" else ""
        title = f"{action.title.lower()} {named}".strip()
        self.push_screen(
            PromptDialog(title, words, partial(self._take, action, models), action.example, value)
        )

    def action_why(self, kind: str) -> None:
        """Say why something cannot be done now."""
        if reason := self._objection(BY_KIND[kind]):
            self.notify(reason, severity="warning", markup=False)

    def action_orders(self) -> None:
        """Show what was asked, and what came of it."""
        self.push_screen(CommandsDialog())

    def draw_pending(self) -> None:
        """Show what is under way, wherever one looks."""
        screen = self._seen
        if isinstance(screen, Page):
            screen.draw_pending()
        elif isinstance(screen, CommandsDialog):
            screen.draw()

    # What comes in

    @on(CommandsRead)
    def _hear(self, message: CommandsRead) -> None:
        before, self.asked = self.asked, message.asked
        for order in settled_between(before, message.asked):
            self.notify(
                outcome_line(order),
                severity="information" if order.outcome == "done" else "warning",
                timeout=LONG_S, markup=False,
            )  # fmt: skip
        self.draw_pending()
        self.refresh_bindings()

    def on_answered(self, message: Answered) -> None:
        """An order was given, or refused."""
        message.take(message.answer)

    # Orders

    def _objection(self, action: CampaignAction) -> str | None:
        return objection(action, self.asked, self.snapshot, self.focused_on)

    def _budget(self) -> int | None:
        from tui.app.drawing.campaign_status import spending  # noqa: PLC0415 - NumPy, after the first paint

        return spending(self.snapshot, self.heartbeat)[1] if self.snapshot else None

    def _take(
        self,
        action: CampaignAction,
        models: tuple[int, ...],
        typed: str = "",
        screen: PromptDialog | None = None,
    ) -> None:
        if action.kind != "export":
            self._give(action.kind, models, typed or None, screen)
        elif screen is not None:
            self._export(models[0], typed, screen)

    def _give(
        self,
        kind: "CommandKind",
        models: tuple[int, ...],
        argument: str | None,
        screen: PromptDialog | None,
    ) -> None:
        """Give an order; whoever asked for it may have left the screen by the time it is given."""
        self.giving.ask(
            self,
            f"order {next(self._numbers)}",  # each is given, however many wait
            partial(_given, kind, models, argument),
            partial(self._say_given, screen),
            partial(self._say_refused, screen),
        )

    def _say_given(self, screen: PromptDialog | None, given: "tuple[Command, bool]") -> None:
        order, runs = given
        if screen is not None and screen.is_current:
            screen.dismiss()
        when = (
            "heard between two generations"
            if runs
            else "no campaign is running, so it waits for colony run"
        )
        self.notify(f"command {order.id}: {order.words}; {when}", markup=False)

    def _say_refused(self, screen: PromptDialog | None, reason: str) -> None:
        if screen is not None and screen.is_current:
            screen.refuse(reason)
        else:
            self.notify(reason, severity="warning", timeout=LONG_S, markup=False)

    # Exports

    def _export(self, model: int, typed: str, screen: PromptDialog) -> None:
        if not typed:
            screen.refuse("which folder? it must not exist yet")
        elif self.exporting is not None:
            screen.refuse(f"#{self.exporting.model} is being exported; one at a time")
        else:
            folder = Path(expand_user(typed))
            self.giving.ask(
                self,
                "export",
                partial(_unused, folder),
                lambda _: self._begin_export(model, folder, screen),
                partial(self._say_refused, screen),
            )

    def _begin_export(self, model: int, folder: Path, screen: PromptDialog) -> None:
        if not screen.is_current:
            return  # whoever left before it began does not want it
        screen.dismiss()
        self.exporting = Export(self.archive, model, folder)
        self.draw_pending()
        self.run_worker(self._see_out(self.exporting), group="export")

    async def _see_out(self, export: Export) -> None:
        try:
            done, words = await export.run(self.draw_pending)
        finally:
            self.exporting = None
        self.notify(
            words if done else f"#{export.model} was not exported: {words}",
            severity="information" if done else "error", timeout=LONG_S, markup=False,
        )  # fmt: skip
        self.draw_pending()


def _unused(folder: Path, _: "Archive") -> None:
    """Make sure that an export overwrites nothing. In a thread, for what it has to load.

    Raises:
        ArchiveError: something is there.
    """
    from lineage.errors import ArchiveError  # noqa: PLC0415 - see _given
    from population.merging.writer import check_unused  # noqa: PLC0415

    try:
        check_unused(folder)
    except (PopulationError, OSError) as error:
        raise ArchiveError(str(error)) from None


def _given(
    kind: "CommandKind", models: tuple[int, ...], argument: str | None, archive: "Archive"
) -> "tuple[Command, bool]":
    """Give an order; it, and whether a campaign is there to hear it. In a thread.

    Raises:
        OrderError: it makes no sense.
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
    order = submit(archive, kind, models, argument)
    return order, campaign_holder(archive.path) is not None
