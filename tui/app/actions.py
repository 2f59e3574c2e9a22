"""Hands: what a person can do to a colony from the screen, and which of it makes sense now.

All of it but an export is an order (`lineage.commands.definitions`): the campaign carries it out
between two generations, and the app itself changes nothing. What speaks against an order is what
the archive would say (`lineage.commands.validation.objection`), worked out from what is known,
without a lease.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.binding import Binding

if TYPE_CHECKING:
    from lineage.commands.definitions import CommandState
    from lineage.commands.validation import NamedModel
    from lineage.records import CommandKind
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot


@dataclass(frozen=True)
class CampaignAction:
    """Something that can be done.

    Attributes:
        kind: of order, or "export".
        key: that does it.
        title: as people read it.
        about: a line for the help and the palette.
        names: how many models it is about: the one in focus, and the marked one before it.
        example: of what has to be typed first; empty if nothing has.
        sure: what is said before it is done, with `{}` for the model, where it cannot be taken
            back; empty where it can be.
        key_name: by which its key is given another one; actions with one key share it.
        shown: whether the footer shows it while it makes sense.
    """

    kind: "CommandKind | Literal['export']"
    key: str
    title: str
    about: str
    names: int = 0
    example: str = ""
    sure: str = ""
    key_name: str = ""
    shown: bool = False

    @property
    def id(self) -> str:
        """The name of its binding, which people write in their settings."""
        return f"hand.{self.key_name or self.kind}"

    def models(self, focus: "Focus") -> tuple[int, ...] | None:
        """Ids of those whom it is about; None if there is no such focus or mark."""
        wanted = {0: (), 1: (focus.model,), 2: (focus.mark, focus.model)}[self.names]
        found = tuple(model for model in wanted if model is not None)
        return found if len(found) == self.names else None


ACTIONS = (
    CampaignAction("pause", "Z", "Pause", "Let the campaign wait after the generation in flight"),
    CampaignAction(
        "resume", "Z", "Resume", "Let the paused campaign go on", key_name="pause", shown=True
    ),
    CampaignAction("pin", "K", "Pin", "Keep the model in focus, whatever it scores", 1),
    CampaignAction(
        "unpin", "K", "Unpin", "Let the pinned model earn its place again", 1, key_name="pin"
    ),
    CampaignAction(
        "cull", "X", "Cull", "Take the model in focus from among the living", 1,
        sure="{} becomes a fossil: its recipe stays, its line is cut off.",
    ),
    CampaignAction(
        "mate", "M", "Mate", "Let the marked model and the one in focus have a child", 2,
        shown=True,
    ),
    CampaignAction(
        "add-founder", "A", "Add a founder", "Bring in another founder from a folder or a hub",
        example="a folder, a hub id, or BASE+ADAPTER",
    ),
    CampaignAction(
        "budget", "B", "Budget", "Change what the campaign may spend in all", example="500000"
    ),
    CampaignAction(
        "tournament", "R", "Tournament", "Let all the living meet on items nobody has seen"
    ),
    CampaignAction(
        "export", "E", "Export", "Write the model in focus as a checkpoint", 1,
        example="a folder that does not exist yet",
    ),
)  # fmt: skip
"""All of them. Of two with one key never more than one makes sense."""

BY_KIND: dict[str, CampaignAction] = {action.kind: action for action in ACTIONS}


def bindings() -> Iterator[Binding]:
    """A binding for every action; behind those of each key, one that says why none of them works.

    Whether an action works is for `check_action` to say; the footer, the help and the palette show
    those that do.
    """
    for action in ACTIONS:
        yield Binding(
            action.key, f"campaign({action.kind!r})", action.title, id=action.id, show=action.shown,
            tooltip=action.about,
        )  # fmt: skip
    for key in dict.fromkeys(action.key for action in ACTIONS):
        actions = [action for action in ACTIONS if action.key == key]
        yield Binding(key, f"why({actions[0].kind!r})", id=actions[0].id, show=False)


def objection(
    action: CampaignAction,
    asked: "CommandState | None",
    snapshot: "Snapshot | None",
    focus: "Focus",
) -> str | None:
    """Why something cannot be done now, in a line; None if it can.

    Args:
        action: what.
        asked: of the campaign so far; None before the archive has been read.
        snapshot: of the colony; likewise.
        focus: whom it would be about.
    """
    if asked is None or snapshot is None:
        return "the archive has not been read yet"
    models = action.models(focus)
    if models is None:
        missing = "marked; mark one, and go to the other" if focus.model else "in focus; go to one"
        return f"{action.kind}: no model is {missing}"
    if action.kind == "export":
        return None
    from lineage.commands.validation import objection as against  # noqa: PLC0415 - after the first paint

    # Whatever is typed later, the example would do.
    return against(asked.context, action.kind, models, _Known(snapshot), action.example or None)


@dataclass(frozen=True)
class _Known:
    """Knows models from a snapshot, as the rules for orders want to know them."""

    snapshot: "Snapshot"

    def __call__(self, model: int) -> "NamedModel | None":
        from lineage.commands.validation import NamedModel  # noqa: PLC0415 - see objection

        s = self.snapshot
        if not s.has(model):
            return None
        label = s.columns.names.get(model, f"#{model}")
        died = None if s.lives(model) else int(s.columns.died[model])
        return NamedModel(model, s.founder(model), label, died, s.cause(model))
