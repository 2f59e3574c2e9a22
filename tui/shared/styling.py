"""How spans of text get their colours, signs and links, the same on every page.

A span has a tone, which says what it means (`lineage.drawing.text.Tone`); a theme says how a tone
looks. Every `#id` in a span is a link: a click on it puts that model into focus.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.content import Content

from lineage.escaping import escaped
from lineage.glyphs import ASCII, UNICODE

if TYPE_CHECKING:
    from lineage.drawing.text import Span

_ID = re.compile(r"#(\d{1,9})(?!\w)")

_TONES: dict[str, tuple[str, str]] = {
    "champion": ("warning", "bold"),
    "living": ("success", ""),
    "founder": ("accent", ""),
    "fossil": ("foreground-muted", ""),
    "edge": ("panel-lighten-2", ""),
    "gain": ("success", ""),
    "loss": ("error", ""),
    "dim": ("foreground-muted", ""),
    "head": ("foreground-muted", "bold"),
    "strong": ("foreground", "bold"),
    "alarm": ("error", "bold"),
    "best": ("success", ""),
    "primary": ("primary", ""),
    "secondary": ("secondary", ""),
    "success": ("success", ""),
    "warning": ("warning", ""),
    "accent": ("accent", ""),
    "error": ("error", ""),
    "here": ("primary", "bold reverse"),
    "median": ("primary", ""),
    "coverage": ("secondary", ""),
    "bar": ("primary", ""),
}
"""By tone: a colour of the theme, and attributes that show without colours too."""


class Piece(NamedTuple):
    """A span whose tone is one of the app's own (see `_TONES`), or `#rrggbb on #rrggbb`."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Signs:
    """The signs that pages are drawn with, each one cell wide (for models see `lineage.glyphs`).

    Attributes:
        cursor: before the row with the cursor.
        mark: before the marked model.
        up: new rows above, or the ascending order.
        down: the descending order.
        running: a campaign that runs.
        at_rest: one that does not.
        full: a filled part of a bar.
        void: the rest of the bar.
        layers: parts of a whole, one sign each, in turn.
        steps: heights of a plot in one row of text, lowest first.
        heat: shades, lightest first.
        change: before a row that differs.
        dash: stands for what is not known.
        ellipsis: stands for what was cut off.
        champion: a model that is or was champion.
        founder: a model that was brought in.
        living: any other that may be picked as a parent.
        fossil: one that is kept as a recipe.
        cross: between parents.
        spread: before half of an interval.
        braille: whether plots may use braille.
    """

    cursor: str
    mark: str
    up: str
    down: str
    running: str
    at_rest: str
    full: str
    void: str
    layers: str
    steps: str
    heat: str
    change: str
    dash: str
    ellipsis: str
    champion: str
    founder: str
    living: str
    fossil: str
    cross: str
    spread: str
    braille: bool


RICH_SIGNS = Signs(
    cursor="▸",
    mark="⚑",
    up="▲",
    down="▼",
    running="●",
    at_rest="○",
    full="▓",
    void="░",
    layers="█▓▒░▞▚▤▥▦",
    steps=UNICODE.bars,
    heat="·░▒▓█",
    change="≠",
    dash="–",
    ellipsis="…",
    champion=UNICODE.champion,
    founder=UNICODE.founder,
    living=UNICODE.living,
    fossil=UNICODE.fossil,
    cross=UNICODE.cross,
    spread="±",
    braille=True,
)

ASCII_SIGNS = Signs(
    cursor=">",
    mark="m",
    up="^",
    down="v",
    running="*",
    at_rest="o",
    full="#",
    void=".",
    layers="#=+:%&~oc",
    steps="_.-:=+*#",
    heat=".123456789",
    change="!",
    dash="-",
    ellipsis=".",
    champion=ASCII.champion,
    founder=ASCII.founder,
    living=ASCII.living,
    fossil=ASCII.fossil,
    cross=ASCII.cross,
    spread="~",
    braille=False,
)


def tone_styles(variables: Mapping[str, str]) -> dict[str, Style]:
    """The style of every tone.

    Args:
        variables: of the theme in use.
    """
    ground = Color.parse(variables["background"])
    styles = {"plain": Style()}
    for tone, (variable, attributes) in _TONES.items():
        colour = Color.parse(variables[variable])
        seen = ground.blend(colour, colour.a, 1.0).rich_color
        styles[tone] = Style.parse(attributes or "none") + Style(color=seen)
    return styles


def cursor_styles(variables: Mapping[str, str]) -> tuple[Style, Style, Style]:
    """The styles of a row without the cursor, with it, and with it in the focused list.

    Args:
        variables: of the theme in use.
    """
    ground = Color.parse(variables["background"])
    blurred, focused = (
        Style(bgcolor=ground.blend(Color.parse(variables["primary"]), part, 1.0).rich_color)
        for part in (0.15, 0.35)
    )
    return Style(), blurred, focused


def linked(text: str, style: Style) -> list[Segment]:
    """A text as segments, in which every `#id` can be clicked."""
    segments, at = [], 0
    for match in _ID.finditer(text):
        if match.start() > at:
            segments.append(Segment(text[at : match.start()], style))
        segments.append(Segment(match.group(), style + link_to(int(match.group(1)))))
        at = match.end()
    if at < len(text):
        segments.append(Segment(text[at:], style))
    return segments


def link_to(model: int) -> Style:
    """The style that makes a text a link to a model."""
    return Style.from_meta({"@click": f"app.go({model})"})


def _painted(tone: str) -> Style | None:
    """The style of a tone that is two colours, as those of images are; None for any other."""
    return Style.parse(tone) if tone.startswith("#") else None


def segments(row: "Iterable[Span | Piece]", styles: Mapping[str, Style]) -> list[Segment]:
    """A row of spans as styled segments.

    Neighbours of one tone become one segment, together with blanks beside them, since painting
    costs time for every segment.
    """
    painted, plain = list[Segment](), styles["plain"]
    pending, pending_tone = "", "plain"
    for text, tone in (*row, ("", "")):
        if tone == pending_tone or (text and text.isspace()):
            pending += text
            continue
        if pending:
            if not pending.isprintable():
                pending = escaped(pending)
            style = styles.get(pending_tone) or _painted(pending_tone) or plain
            painted += linked(pending, style) if "#" in pending else [Segment(pending, style)]
        pending, pending_tone = text, tone
    return painted


def text_of(rows: "Iterable[Iterable[Span | Piece]]", styles: Mapping[str, Style]) -> Text:
    """Rows of spans as a Rich text, for widgets that show one."""
    text = Text(no_wrap=True, overflow="crop")
    for number, row in enumerate(rows):
        if number:
            text.append("\n")
        for part in segments(row, styles):
            text.append(part.text, part.style)
    return text


def cut(text: str, width: int, ellipsis: str) -> str:
    """A text in exactly `width` cells: cut off with an ellipsis, or filled with blanks."""
    used = cell_len(text)
    if used > width:
        return set_cell_size(text, max(0, width - 1)) + ellipsis[: min(1, width)]
    return text + " " * (width - used)


def heading(text: str) -> Content:
    """A text without markup, for the title of a frame or a line of the command palette."""
    return Content(escaped(text))


def bar(part: float, width: int, signs: Signs) -> str:
    """A fraction in [0, 1] as a bar of `width` cells."""
    filled = round(min(max(part, 0.0), 1.0) * width)
    return signs.full * filled + signs.void * (width - filled)


def steps(values: "tuple[float, ...]", signs: Signs) -> str:
    """A plot of numbers in one row of text: a sign each, scaled from the lowest to the highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    top = len(signs.steps) - 1
    if high <= low:
        return signs.steps[top // 2] * len(values)
    return "".join(signs.steps[round((v - low) / (high - low) * top)] for v in values)
