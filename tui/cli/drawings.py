"""Drawings of lineages on a terminal: its colours, and the signs that its encoding has."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from lineage.drawing import Drawing, Style

TONES = {
    "champion": "bold green",
    "living": "green",
    "founder": "bold cyan",
    "fossil": "",
    "edge": "dim",
    "gain": "green",
    "loss": "red",
    "dim": "dim",
}


def style_for(console: Console, ascii_only: bool) -> "Style":
    """The width of a terminal, and signs that its encoding has.

    Args:
        console: that is printed on.
        ascii_only: use ASCII signs whatever the encoding.
    """
    from lineage.drawing import ASCII, UNICODE, Style  # noqa: PLC0415 - half a second for few

    plain = ascii_only or "utf" not in console.encoding.lower()
    return Style(console.width, ASCII if plain else UNICODE)


def coloured(drawing: "Drawing") -> Text:
    """A drawing as a text with colours, which only repeat what the signs say."""
    text = Text(no_wrap=True)
    for number, row in enumerate(drawing):
        if number:
            text.append("\n")
        line = Text()
        for span in row:
            line.append(span.text, TONES.get(span.tone, ""))
        line.rstrip()
        text.append_text(line)
    return text
