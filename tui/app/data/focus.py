"""The focus: the one model that every page is about, the history, and the mark."""

from dataclasses import dataclass, replace
from itertools import groupby

REMEMBERED = 500
"""Models that the history keeps."""


@dataclass(frozen=True)
class Focus:
    """The model in focus as a value: every step gives a new one.

    A model that a cursor passes over is in focus too, as a glance. Models that were clicked, opened
    or typed make the history, in which one goes back and forward as in a browser.

    Attributes:
        trail: the history: model ids, oldest first.
        place: the current index in the trail; -1 if it is empty.
        glance: the model under the cursor, if it is not the one at `place`.
        mark: the model that others are compared with.
    """

    trail: tuple[int, ...] = ()
    place: int = -1
    glance: int | None = None
    mark: int | None = None

    @property
    def model(self) -> int | None:
        """The model in focus."""
        if self.glance is not None:
            return self.glance
        return self.trail[self.place] if self.trail else None

    def to(self, model: int) -> "Focus":
        """Go to a model; what was ahead in the history is forgotten."""
        here = self.trail[self.place] if self.trail else None
        if model == here:
            return replace(self, glance=None)
        trail = (*self.trail[: self.place + 1], model)[-REMEMBERED:]
        return replace(self, trail=trail, place=len(trail) - 1, glance=None)

    def at(self, model: int) -> "Focus":
        """Put a model into focus without adding it to the history."""
        return replace(self, glance=model)

    def step(self, by: int) -> "Focus":
        """Go back (-1) or forward (1) in the history.

        One step back from a model that was only glanced at is the last one that was gone to.
        """
        if not self.trail:
            return self
        if self.glance is not None and self.glance != self.trail[self.place] and by < 0:
            return replace(self, glance=None)
        place = min(max(self.place + by, 0), len(self.trail) - 1)
        return replace(self, place=place, glance=None)

    def marked(self) -> "Focus":
        """Mark the model in focus, or take the mark from it."""
        return replace(self, mark=None if self.mark == self.model else self.model)

    def within(self, newest: int) -> "Focus":
        """The same in an archive that has no younger models than `newest`."""
        if max(*self.trail, self.glance or 0, self.mark or 0, 0) <= newest:
            return self
        still_there = (model for model in self.trail if model <= newest)
        trail = tuple(model for model, _ in groupby(still_there))  # neighbours may be equal now
        mark = self.mark if self.mark is not None and self.mark <= newest else None
        return Focus(trail, len(trail) - 1, None, mark)
