"""Lineages as plain text, for terminals, logs and files: pure functions, no terminal needed.

Each module draws one thing: `tree`, `line`, `pedigree`, `lanes`, `descendants` and `path_between`
of a `Family`, `birth_map` of all births. A drawing is rows of spans with tones; `plain` makes text
of them. A front end may colour the tones, but the characters alone say everything.
"""

from lineage.drawing.family import Family
from lineage.drawing.text import Drawing, Style, plain
from lineage.glyphs import ASCII, UNICODE

__all__ = ["ASCII", "UNICODE", "Drawing", "Family", "Style", "plain"]
