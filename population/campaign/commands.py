"""Carries out commands: between two generations a campaign obeys, or refuses and says why.

`lineage.commands.validation` decides what is refused. Everything but a mating is done at once, each
command in one transaction with what it changes (`lineage.commands.outcome`), and the population is
read anew; so a campaign that was killed in between goes on as if it had not been. Matings are left
to the next generation, and settled as it is committed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lineage import Archive, ArchiveError
from lineage.archive.newcomers import NewFounder
from lineage.commands.definitions import all_commands, paused
from lineage.commands.outcome import current_refusal, record_outcome
from lineage.records import (
    PAUSED,
    Allowance,
    Birth,
    Command,
    CommandOutcome,
    Founder,
    Scores,
    allowance_of,
)
from population.campaign.context import Context, Progress
from population.campaign.joining import joined_context, open_newcomer
from population.campaign.offline_arena import play_offline_round
from population.errors import CampaignError, Interrupted
from population.failures import one_line

OnCommand = Callable[[CommandOutcome], None]
"""Called with a command and what came of it."""

POLL_S = 0.25
"""How often a paused campaign looks whether the archive has changed: a `stat`, no lease."""

_DONE = {
    "pause": "the campaign waits until it is told to resume",
    "resume": "the campaign goes on",
    "pin": "{} keeps its place until it is unpinned",
    "unpin": "{} has to earn its place again",
    "cull": "{} is a fossil",
}


@dataclass(frozen=True)
class CommandsCarriedOut:
    """The outcome of all open commands.

    Attributes:
        context: to go on in: another one if founders have joined.
        settled: those that were carried out or refused.
        budget: what may be spent, as far as that was changed.
        mates: the matings that are still to be carried out.
        paused: whether the campaign is to wait.
    """

    context: Context
    settled: tuple[CommandOutcome, ...]
    budget: Allowance | None
    mates: tuple[Command, ...]
    paused: bool

    @property
    def lives_changed(self) -> bool:
        """Whether a founder has joined or a model was culled."""
        done = {one.command.kind for one in self.settled if one.outcome == "done"}
        return bool(done & {"cull", "add-founder"})


def ignore(settled: CommandOutcome) -> None:
    """Do nothing with the outcome of a command."""


def carry_out_commands(
    archive: Archive, context: Context, progress: Progress, on_command: OnCommand
) -> CommandsCarriedOut:
    """Carry out or refuse what is open, in the order in which it was asked.

    Args:
        archive: where commands are given; needs one complete generation.
        context: with its founders.
        progress: called while a founder that joins is scored; may raise to stop.
        on_command: called with the outcome of each.
    """
    settled: list[CommandOutcome] = []
    budget: Allowance | None = None
    for command in _open(archive, mating=False):
        context, outcome = _carried_out(archive, context, command, progress)
        if command.kind == "budget" and outcome.outcome == "done":
            now = allowance_of(command.argument) or Allowance()
            budget = now.over(budget or Allowance())
        settled.append(outcome)
        on_command(outcome)
    # Only now, since a model that was to mate may have been culled.
    mates = []
    for command in _open(archive, mating=True):
        if reason := current_refusal(archive, command):
            settled.append(_refused(archive, command, reason))
            on_command(settled[-1])
        else:
            mates.append(command)
    return CommandsCarriedOut(context, tuple(settled), budget, tuple(mates), paused(archive))


def mating_outcomes(
    mates: Sequence[Command], births: Sequence[Birth], deaths: Mapping[int, str]
) -> tuple[CommandOutcome, ...]:
    """The outcomes of matings, whose children are the last of their generation.

    Args:
        mates: the commands.
        births: of the generation.
        deaths: by id, the causes of death.
    """
    children = births[len(births) - len(mates) :]
    return tuple(
        CommandOutcome(
            command,
            "done",
            f"#{child.id} was born of #{command.models[0]} and #{command.models[1]} "
            f"({child.operator}); it {_fate(deaths.get(child.id))}",
            child.id,
        )
        for command, child in zip(mates, children, strict=True)
    )


def last_change(archive: Archive) -> int:
    """When somebody last wrote to an archive, in nanoseconds."""
    return archive.path.stat().st_mtime_ns


def wait_for_change(archive: Archive, seen: int, progress: Progress) -> None:
    """Wait until an archive is written to.

    Args:
        archive: that is watched.
        seen: its last change, see `last_change`.
        progress: called while waiting; may raise to stop.
    """
    while last_change(archive) == seen:
        progress(0, 0, PAUSED)
        time.sleep(POLL_S)


def _open(archive: Archive, *, mating: bool) -> list[Command]:
    return [
        command
        for command in all_commands(archive, only_open=True)
        if (command.kind == "mate") == mating
    ]


def _carried_out(
    archive: Archive, context: Context, command: Command, progress: Progress
) -> tuple[Context, CommandOutcome]:
    """Do what is asked; the context to go on in, and what was done, or why it cannot be."""
    if reason := current_refusal(archive, command):
        return context, _refused(archive, command, reason)
    try:
        match command.kind:
            case "add-founder":
                return _joined(archive, context, command, progress)
            case "budget":
                return context, _budgeted(archive, command)
            case "tournament":
                return context, _played(archive, context, command, progress)
            case kind:
                words = _DONE[kind].format(*(f"#{model}" for model in command.models))
    except (Interrupted, ArchiveError):
        raise
    except Exception as error:  # noqa: BLE001 - a command that fails must not fail every resume
        return context, _refused(archive, command, one_line(error))
    settled = CommandOutcome(command, "done", words, *command.models)
    record_outcome(archive, settled, culled=command.models[0] if command.kind == "cull" else None)
    return context, settled


def _refused(archive: Archive, command: Command, reason: str) -> CommandOutcome:
    settled = CommandOutcome(command, "refused", reason)
    record_outcome(archive, settled)
    return settled


def _budgeted(archive: Archive, command: Command) -> CommandOutcome:
    """Write another budget into the configuration."""
    _, config = archive.campaign()
    limits = config["budget"]
    before = Allowance(limits["item_evaluations"], limits.get("minutes"), limits.get("tokens"))
    now = (allowance_of(command.argument) or Allowance()).over(before)
    limits["item_evaluations"] = now.evaluations
    limits["minutes"], limits["tokens"] = now.minutes, now.tokens
    was = f"{before.evaluations:,}" if now.minutes is now.tokens is None else before.words
    words = f"the budget is {now.words}; it was {was}"
    settled = CommandOutcome(command, "done", words)
    record_outcome(archive, settled, config=config)
    return settled


def _played(
    archive: Archive, context: Context, command: Command, progress: Progress
) -> CommandOutcome:
    """Play an offline round of all living on items that no model has seen, as far as there are."""
    round_ = play_offline_round(archive, context, progress)
    ours = sum(item.hidden for item in round_.asked)
    of_them = (
        "that nobody had seen" if ours == len(round_.asked) else f"({ours} asked nowhere else)"
    )
    words = (
        f"{len(round_.ratings)} models met on {len(round_.asked)} items {of_them}, "
        f"for {round_.tokens:,} tokens"
    )
    settled = CommandOutcome(command, "done", words)
    record_outcome(archive, settled, offline_round=round_)
    return settled


def _joined(
    archive: Archive, context: Context, command: Command, progress: Progress
) -> tuple[Context, CommandOutcome]:
    """Let a founder join: it is scored on the panel that the living are compared on.

    What depends on who the founders are is in the context, which is made anew.
    """
    if context.config.search.merit == "jury":
        raise CampaignError(
            "the jury of this epoch is seated already, and no founder can join what is judged by it"
        )
    newcomer, sha256 = open_newcomer(archive, command.argument or "")
    joined = joined_context(context, newcomer, sha256)
    model = archive.newest_id() + 1
    items = archive.panel(archive.generations()[-1].epoch)
    scored = joined.score(
        [joined.genome_of_founder(len(context.founders))],
        joined.evaluator.prepare_keys(items),
        progress,
        f"scoring {newcomer.name}",
    )
    words = f"{newcomer.name} joins the founders as #{model}"
    settled = CommandOutcome(command, "done", words, model)
    record_outcome(
        archive,
        settled,
        new_founder=NewFounder(
            Founder(
                newcomer.name, newcomer.reference, sha256, joined.hashes.stored_fingerprints[-1]
            ),
            Scores((model,), tuple(i.id for i in items), scored.exact, scored.probability),
            len(items),
        ),
    )
    return joined, settled


def _fate(cause: str | None) -> str:
    return "lives" if cause is None else f"died: {cause}"
