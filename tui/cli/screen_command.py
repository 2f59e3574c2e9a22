"""`colony tui`: the app; and how `colony run` puts it in front of its campaign."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lineage.errors import ArchiveError
from population.errors import PopulationError
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    EXIT_ERROR,
    AsciiOption,
    clear_errors,
    err,
    help_text,
    out,
    quoted,
)
from tui.shared.heartbeat import read_heartbeat

if TYPE_CHECKING:
    from tui.app.data.settings import ScreenSettings

app = typer.Typer()


@app.command(
    name="tui",
    help=help_text(
        "Watch a campaign in the terminal app, live or at rest; ? lists the keys.",
        "colony tui",
        "colony tui my.duckdb",
        "NO_COLOR=1 colony tui --ascii",
    ),
)
def watch(
    archive: Annotated[
        Path, typer.Argument(help="The archive of the colony.", show_default=True)
    ] = DEFAULT_ARCHIVE,
    ascii_only: AsciiOption = False,
) -> None:
    with clear_errors():
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise PopulationError(
                "colony tui needs a terminal; colony models, lineage and find print for scripts"
            )
        heartbeat = read_heartbeat(archive)
        if not archive.exists() and not (heartbeat and heartbeat.running):
            raise ArchiveError(
                f"no archive at {archive}; `colony run --archive {quoted(archive)}` starts one"
            )
        from tui.app.app import ColonyApp

        screen = ColonyApp(archive, _settings(ascii_only))
        screen.run()
        exit_at_once(screen.return_code or 0)


def campaign_on_screen(archive: Path, arguments: Sequence[str]) -> int:
    """Run a campaign in a process of its own, with the app in front.

    Args:
        archive: path of the campaign's archive.
        arguments: of this command; the campaign is the same command with `--headless`.

    Returns:
        the exit code: that of the campaign, or 0 if it goes on.
    """
    from tui.app.app import ColonyApp
    from tui.app.campaign import CampaignProcess

    settings = _settings(ascii_only=False)
    with CampaignProcess(archive, arguments, os.get_terminal_size().columns) as campaign:
        ColonyApp(archive, settings, campaign).run()
        code = campaign.code()
        if code is None:
            err.print(
                f"the campaign goes on, and tells in {campaign.log}. "
                f"To look again: colony tui {quoted(archive)}",
                highlight=False,
                soft_wrap=True,
            )
            return 0
        out.print(campaign.report(), highlight=False, markup=False, end="")
        style = None if code == 0 else "bold red" if code == EXIT_ERROR else "yellow"
        for line in campaign.last_lines():
            err.print(line, style=style, highlight=False, markup=False, soft_wrap=True)
        return code


def exit_at_once(code: int) -> NoReturn:
    """End this process at once.

    A thread may be waiting for a lease that another process holds. It only reads, so it can be
    abandoned; and libraries cannot complain about being torn down under it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _settings(ascii_only: bool) -> "ScreenSettings":
    """The user's settings, with signs that the terminal has."""
    from dataclasses import replace

    from tui.app.data.settings import load_settings

    settings = load_settings()
    plain = ascii_only or "utf" not in (sys.stdout.encoding or "").lower()
    return replace(settings, ascii=settings.ascii or plain)
