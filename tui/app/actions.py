"""Campaign actions: what a person can do to a campaign from the app, and what can be done now.

All of them but the export are commands (`lineage.commands.definitions`): the campaign carries them
out between two generations, and the app itself changes nothing. Whether a command is refused is
decided by the same function as in the archive (`lineage.commands.validation.objection`), from the
snapshot and without a lease.
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
    """An action that a key does.

    Attributes:
        kind: of command, or "export".
        key: that does it.
        title: as people read it.
        description: a line for the help and the palette.
        model_count: how many models it takes: 1 for that in focus, 2 for the marked one as well.
        example: of what has to be typed first; empty if nothing has.
        confirmation: what the dialog says first, with `{}` for the model, if the action cannot be
            undone; else empty.
        key_name: of its key in the settings, if not `kind`; actions with one key share it.
        shown: whether the footer shows it while it can be done.
    """

    kind: "CommandKind | Literal['export']"
    key: str
    title: str
    description: str
    model_count: int = 0
    example: str = ""
    confirmation: str = ""
    key_name: str = ""
    shown: bool = False

    @property
    def id(self) -> str:
        """The id of its binding, which people write in their settings."""
        return f"action.{self.key_name or self.kind}"

    def models(self, focus: "Focus") -> tuple[int, ...] | None:
        """Ids of the models that it takes, the marked one first; None if one is missing."""
        wanted = {0: (), 1: (focus.model,), 2: (focus.mark, focus.model)}[self.model_count]
        present = tuple(model for model in wanted if model is not None)
        return present if len(present) == self.model_count else None


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
        confirmation="{} becomes a fossil: its recipe stays, its line is cut off.",
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
        "tournament", "R", "Arena round", "Play an arena round on items that no model has seen"
    ),
    CampaignAction(
        "export", "E", "Export", "Write the model in focus as a checkpoint", 1,
        example="a folder that does not exist yet",
    ),
)  # fmt: skip
"""All actions. Of two that share a key, never more than one can be done."""

BY_KIND: dict[str, CampaignAction] = {action.kind: action for action in ACTIONS}


def bindings() -> Iterator[Binding]:
    """A binding for every action; behind those of each key, one that shows why none can be done.

    `check_action` decides which can be done; the footer, the help and the palette show those.
    """
    for action in ACTIONS:
        yield Binding(
            action.key, f"campaign({action.kind!r})", action.title, id=action.id, show=action.shown,
            tooltip=action.description,
        )  # fmt: skip
    for key in dict.fromkeys(action.key for action in ACTIONS):
        actions = [action for action in ACTIONS if action.key == key]
        yield Binding(key, f"why({actions[0].kind!r})", id=actions[0].id, show=False)


def objection(
    action: CampaignAction,
    command_state: "CommandState | None",
    snapshot: "Snapshot | None",
    focus: "Focus",
) -> str | None:
    """Why an action cannot be done now, in a line; None if it can.

    Args:
        action: to be done.
        command_state: commands given so far; None before the archive has been read.
        snapshot: of the archive; likewise.
        focus: the model in focus and the mark.
    """
    if command_state is None or snapshot is None:
        return "the archive has not been read yet"
    models = action.models(focus)
    if models is None:
        missing = "marked; mark one, and go to the other" if focus.model else "in focus; go to one"
        return f"{action.kind}: no model is {missing}"
    if action.kind == "export":
        return None
    from lineage.commands.validation import objection as command_objection  # noqa: PLC0415 - after the first paint

    # What will be typed is not known yet; the example is a valid argument.
    return command_objection(
        command_state.context,
        action.kind,
        models,
        _SnapshotModels(snapshot),
        action.example or None,
    )


@dataclass(frozen=True)
class _SnapshotModels:
    """Looks up models in a snapshot, in the form that the validation of commands takes."""

    snapshot: "Snapshot"

    def __call__(self, model: int) -> "NamedModel | None":
        from lineage.commands.validation import NamedModel  # noqa: PLC0415 - see objection

        s = self.snapshot
        if not s.has(model):
            return None
        label = s.columns.names.get(model, f"#{model}")
        died = None if s.is_living(model) else int(s.columns.died[model])
        return NamedModel(model, s.is_founder(model), label, died, s.cause(model))
