"""What the commands of the arena print: tables for people and plain values for scripts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.drawing.text import shown
from lineage.glyphs import ASCII
from tui.cli.lineage_tables import natural_width, plain_table, safe
from tui.shared.half_blocks import half_blocks
from tui.shared.verdict import verdict

if TYPE_CHECKING:
    from lineage.glyphs import Glyphs
    from lineage.queries.judges import Reliability
    from lineage.queries.leaderboard import LeaderboardRow
    from lineage.queries.match_detail import MatchDetail
    from lineage.queries.matches import Match, Side


WIDEST = 48
"""Cells that an image may take."""


def leaderboard_json(standings: "Sequence[LeaderboardRow]") -> list[dict[str, Any]]:
    """The list that `colony leaderboard --json` prints, best rated first; ratings in Elo points."""
    rows = []
    for standing in standings:
        row = (
            {"id": standing.model}
            | vars(standing)
            | {"judging": {mode: vars(judge) for mode, judge in standing.reliability.items()}}
        )
        del row["reliability"]  # scripts know it by the name above
        rows.append(row)
    return rows


def leaderboard_view(
    standings: "Sequence[LeaderboardRow]", task: str | None, glyphs: "Glyphs"
) -> RenderableType:
    """The leaderboard as a table, ratings in Elo points.

    Args:
        standings: rows, best rated first.
        task: that they are about; None for all.
        glyphs: signs for champion, founder, living and fossil.
    """
    if not standings:
        return Text("nobody is rated yet: no round of the arena was played")
    modes = sorted({mode for standing in standings for mode in standing.reliability})
    heads = ("model", "rating", "+/-", "won", "lost", "tied", "support", *modes)
    table = plain_table("", *heads, text=("model",))
    if glyphs is ASCII:
        table.box = box.MARKDOWN
    table.title = "Leaderboard" if task is None else f"Leaderboard of {safe(task)}"
    for place, one in enumerate(standings, start=1):
        table.add_row(
            str(place),
            Text.assemble(f"{_sign(one, glyphs)} ", safe(one.name or f"#{one.model}")),
            f"{one.rating:.0f}",
            f"{one.interval:.0f}",
            f"{one.wins:,}",
            f"{one.losses:,}",
            f"{one.ties:,}",
            "" if one.support is None else f"{one.support:.2f}",
            *(_reliability(one.reliability.get(mode), task) for mode in modes),
            style="bold green" if one.champion else None if one.living else "dim",
        )
    signs = (
        f"{glyphs.champion} champion  {glyphs.founder} founder  {glyphs.living} living  "
        f"{glyphs.fossil} fossil"
    )
    judged = "trust, 0 for guessing" if task is None else f"right of so many on {safe(task)}"
    legend = f"As judges ({', '.join(modes)}): {judged}; in brackets: not listened to"
    return Group(table, Text(f"{legend}\n{signs}" if modes else signs, style="dim"))


def _sign(one: "LeaderboardRow", glyphs: "Glyphs") -> str:
    if one.champion:
        return glyphs.champion
    if one.name:
        return glyphs.founder
    return glyphs.living if one.living else glyphs.fossil


def _reliability(judge: "Reliability | None", task: str | None) -> str:
    if judge is None:
        return ""
    if task is None:
        text = f"{judge.trust:.2f}"
    else:
        text = f"{judge.hits:.0f} of {judge.hits + judge.misses:.0f}"
    return text if judge.admitted else f"({text})"


def match_json(match: "Match") -> dict[str, Any]:
    """The dictionary of one match, as `colony matches --json` prints a list of."""
    return {
        "match": str(match.name),
        "round": match.round,
        "item": match.item,
        "task": match.task,
        "a": vars(match.a),
        "b": vars(match.b),
        "winner": match.winner,
        "judged": match.outcome is not None,
        "by_key": match.by_key,
    }


def matches_view(matches: "Sequence[Match]", width: int) -> RenderableType:
    """Matches as a table; where it would not fit, without the support of the answers.

    Args:
        matches: the matches.
        width: cells of the terminal.
    """
    if not matches:
        return Text("no such match was played")
    table = _matches_table(matches, support=True)
    if natural_width(table) > width:
        return _matches_table(matches, support=False)
    return Group(
        table, Text("Numbers: mean result of the answer among all that were given.", style="dim")
    )


def _matches_table(matches: "Sequence[Match]", *, support: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("match", overflow="fold")  # a name in full, to be copied
    for letter in ("A", "B"):
        table.add_column(f"{letter} said", no_wrap=True)
        if support:
            table.add_column("", justify="right", no_wrap=True)
    table.add_column("won", no_wrap=True)
    table.title = f"Matches of round {matches[0].round}"
    for match in matches:
        sides: list[str | Text] = []
        for side in (match.a, match.b):
            style = "bold" if match.winner == side.model else ""
            sides.append(Text(shown(side.answer, 8) or "(nothing)", style))
            if support:
                sides.append(f"{side.support:.2f}")
        table.add_row(safe(match.name, 500), *sides, _short_verdict(match))
    return table


def _short_verdict(match: "Match") -> str:
    """Who has won, A or B, and whether by the key or by the jury."""
    if match.outcome is None:
        return "nobody"
    won = {match.a.model: "A", match.b.model: "B", None: "tie"}[match.winner]
    return f"{won}, {'key' if match.by_key else 'jury'}"


def match_detail_json(detail: "MatchDetail", closer: Mapping[int, int | None]) -> dict[str, Any]:
    """The dictionary that `colony match --json` prints.

    Args:
        detail: the match.
        closer: by judge, the contestant that it is closer kin to; None for neither.
    """
    return {
        **match_json(detail.match),
        "generation": detail.generation,
        "prompt": detail.prompt,
        "key": detail.key,
        "images": [vars(image) for image in detail.images],
        "hidden": detail.hidden,
        "judgements": [
            {**vars(judgement), "closer_to": closer[judgement.judge]}
            for judgement in detail.judgements
        ],
    }


def match_detail_view(detail: "MatchDetail", closer: Mapping[int, int | None]) -> RenderableType:
    """One match as tables: the answers, then every judge's vote.

    Args:
        detail: the match.
        closer: by judge, the contestant that it is closer kin to; None for neither.
    """
    match = detail.match
    head = Table.grid(padding=(0, 2))
    hidden = ", asked nowhere else" if detail.hidden else ""
    head.add_row(Text("match", "dim"), safe(match.name, 200))
    head.add_row(
        Text("round", "dim"), f"{match.round}, after generation {detail.generation}{hidden}"
    )
    head.add_row(Text("prompt", "dim"), safe(detail.prompt))
    if detail.images:
        head.add_row(Text("shown", "dim"), _shown(detail))
    head.add_row(Text("key", "dim"), safe(detail.key) if detail.key else "nobody looked at it")
    for letter, side in (("A", match.a), ("B", match.b)):
        head.add_row(Text(f"{letter} #{side.model}", "bold"), _answer(side))
    head.add_row(Text("won", "dim"), verdict(match))
    table = plain_table(
        "judge", "mode", "prefers", "trust", "on task", "kin to", "favours", "heard",
        text=("judge", "mode", "prefers", "kin to", "heard"),
    )  # fmt: skip
    for judgement in detail.judgements:
        kin = closer[judgement.judge]
        table.add_row(
            f"#{judgement.judge}",
            judgement.mode,
            "cannot tell" if judgement.prefers is None else f"#{judgement.prefers}",
            f"{judgement.trust:.2f}",
            f"{judgement.hits:.0f} of {judgement.hits + judgement.misses:.0f}",
            "neither" if kin is None else f"#{kin}",
            "" if judgement.favour is None else f"p {judgement.favour:.2g}",
            "yes" if judgement.admitted else "no",
            style=None if judgement.admitted else "dim",
        )
    words = (
        "trust: over everything, 0 is guessing; on task: how often right on "
        f"{safe(match.task)} where a key could tell; kin to: whom the judge is closer to; "
        "favours: how likely its mistakes are nobody's favour"
    )
    return Group(head, Text(), table, Text(words, style="dim"))


def _shown(detail: "MatchDetail") -> Text:
    """The images of a match's item."""
    rows = half_blocks(detail.images, WIDEST)
    return Text("\n").join(
        Text.assemble(*((piece.text, piece.tone) for piece in row)) for row in rows
    )


def _answer(side: "Side") -> Text:
    right = {None: "", 0.0: ", wrong", 1.0: ", right"}.get(side.verified, f", {side.verified}")
    answer = safe(side.answer) if side.answer else Text("(nothing)")
    return Text.assemble(answer, Text(f"   support {side.support:.2f}{right}", "dim"))
