"""Lineages as plain text, for terminals, logs and files: pure functions, no terminal needed.

Each module draws one thing of a `Family`: `tree`, `line`, `pedigree`, `lanes`, `density` (of all
births) and `descendants`. A drawing is rows of spans with tones; `plain` makes text of them, and a
front end may colour the tones, but signs alone say everything.
"""

from lineage.drawing.family import Family
from lineage.drawing.text import ASCII, UNICODE, Drawing, Style, plain

__all__ = ["ASCII", "UNICODE", "Drawing", "Family", "Style", "plain"]
