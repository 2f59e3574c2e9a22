"""Rows of matches on the Arena page: all that are listed, and one with its judgements."""

from collections.abc import Hashable, Mapping, Sequence

from lineage.drawing.text import Span, Tone, columns, padded
from lineage.queries.match_detail import MatchDetail
from lineage.queries.matches import Match, Side
from tui.app.data.snapshot import Snapshot
from tui.app.drawing.judge_rows import rate
from tui.app.drawing.labelled_text import DrawnRow, cropped, gap, wrapped
from tui.app.drawing.rows import ListedRows
from tui.shared.half_blocks import half_blocks
from tui.shared.styling import Piece, Signs
from tui.shared.verdict import verdict


class MatchRows:
    """A row for each match; its key is the match's name, its model the winner.

    Args:
        matches: top down, each once.
        signs: to draw with.
    """

    def __init__(self, matches: Sequence[Match], signs: Signs) -> None:
        self.matches, self._signs = matches, signs
        newest = max((match.b.model for match in matches), default=0)
        self._digits = len(f"#{newest}")
        self._places = {str(match.name): row for row, match in enumerate(matches)}

    def __len__(self) -> int:
        return len(self.matches)

    def key(self, row: int) -> str:
        """The name of the match."""
        return str(self.matches[row].name)

    def row_of(self, key: Hashable) -> int | None:
        """The row of a match by its name, or the first match of a model by its id; None if none."""
        if isinstance(key, int):
            return next(
                (row for row, match in enumerate(self.matches) if _took_part(match, key)), None
            )
        return self._places.get(str(key))

    def model(self, row: int) -> int:
        """The winner; the older model where there is none."""
        match = self.matches[row]
        return match.winner or match.a.model

    def draw(self, row: int, width: int) -> list[Span | Piece]:
        """The contestants, their answers, the outcome and the task, in `width` cells."""
        match = self.matches[row]
        task = 16 if width >= 80 else 9
        room = min(28, max(4, (width - 2 * self._digits - task - 24) // 2))
        tones = _tones(match)
        sign = {1: ">", -1: "<", 0: "=", None: "?"}[match.outcome]
        a, b = match.a, match.b
        spans: list[Span | Piece] = [
            Piece(f"#{a.model}".rjust(self._digits) + " ", tones[0]),
            Piece(padded(self._answer(a, room), room, right=True) + " ", tones[0]),
            Piece(f"{_two_digits(a.support)} {sign} {_two_digits(b.support)} ", "dim"),
            Piece(padded(self._answer(b, room), room) + " ", tones[1]),
            Piece(f"#{b.model}".ljust(self._digits) + " ", tones[1]),
        ]
        by = "key" if match.by_key else "jury"
        return [
            *spans,
            Piece(padded(cropped(match.task, task, self._signs), task) + f" {by}", "dim"),
        ]

    def _answer(self, side: Side, room: int) -> str:
        return cropped(answer_of(side), room, self._signs)


def match_rows(
    detail: MatchDetail,
    closer: Mapping[int, int | None],
    snapshot: Snapshot,
    signs: Signs,
    width: int,
) -> ListedRows:
    """One match: prompt, answers, outcome and every judgement.

    Args:
        detail: the match.
        closer: by judge, the contestant that it is closer kin to; None for neither.
        snapshot: knows the models.
        signs: to draw with.
        width: of a row, in cells.
    """
    match = detail.match
    tones = _tones(match)
    hidden = ", asked nowhere else" if detail.hidden else ""
    rows: list[DrawnRow] = [
        *wrapped("match", str(match.name), width),
        *wrapped("round", f"{match.round}, after generation {detail.generation}{hidden}", width),
    ]
    rows += wrapped("prompt", detail.prompt, width)
    shown = half_blocks(detail.images, width)
    rows += [(f"shown {number}", None, list(row)) for number, row in enumerate(shown)]
    rows += wrapped("key", detail.key or "nobody looked at it", width)
    for letter, side, tone in zip("AB", (match.a, match.b), tones, strict=True):
        rows.append(gap(letter))
        right = {None: "", 0.0: "  wrong", 1.0: "  right"}.get(
            side.verified, f"  {side.verified} right"
        )
        spans = [
            Piece(f"{letter}  ", "head"),
            Piece(snapshot.sign(side.model, signs) + " ", snapshot.tone(side.model)),
            Piece(snapshot.name(side.model), tone),
            Piece(f"  support {side.support:.2f}{right}", "dim"),
        ]
        rows.append((letter, side.model, list(spans)))
        rows += wrapped(f" {letter}", answer_of(side), width, tone)
    rows.append(gap("won"))
    rows += wrapped("won", verdict(match), width, "strong")
    rows += wrapped("judges", _vote_count(detail), width)
    return ListedRows(rows + _judgements(detail, closer, snapshot, signs, width))


def _judgements(
    detail: MatchDetail,
    closer: Mapping[int, int | None],
    snapshot: Snapshot,
    signs: Signs,
    width: int,
) -> list[DrawnRow]:
    heads = ("", "mode", "prefers", "trust", "on task", "kin of", "")
    table = [[Span(head, "dim") for head in heads]]
    for one in detail.judgements:
        kin = closer.get(one.judge)
        tone: Tone = "plain" if one.admitted else "dim"
        cells_of = (
            f"{snapshot.sign(one.judge, signs)} #{one.judge}",
            one.mode,
            signs.dash if one.prefers is None else f"#{one.prefers}",
            f"{one.trust:.2f}",
            rate(one.hits, one.misses, signs),
            ("neither" if closer else signs.dash) if kin is None else f"#{kin}",
            "" if one.admitted else "not used",
        )
        table.append([Span(text, tone) for text in cells_of])
    drawn = columns(table, (0, 1, 0, 2, 3, 4, 0), width)
    keys = [("heads", None), *(((one.judge, one.mode), one.judge) for one in detail.judgements)]
    return [(key, model, list(spans)) for (key, model), spans in zip(keys, drawn, strict=True)]


def _vote_count(detail: MatchDetail) -> str:
    """How many of the votes that count were for each contestant."""
    admitted = [one for one in detail.judgements if one.admitted]
    a, b = (sum(one.prefers == side.model for one in admitted) for side in _sides(detail.match))
    silent = len(detail.judgements) - len(admitted)
    more = f", {silent} not counted" if silent else ""
    return f"{a} for #{detail.match.a.model}, {b} for #{detail.match.b.model}{more}"


def _sides(match: Match) -> tuple[Side, Side]:
    return match.a, match.b


def _tones(match: Match) -> tuple[str, str]:
    """The tones of the two contestants: the winner is bold."""
    plain = "dim" if match.winner else "plain"
    a, b = ("strong" if match.winner == side.model else plain for side in _sides(match))
    return a, b


def answer_of(side: Side) -> str:
    """The answer of a contestant; "(nothing)" if it is empty."""
    return side.answer or "(nothing)"


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def _took_part(match: Match, model: int) -> bool:
    return model in (match.a.model, match.b.model)
