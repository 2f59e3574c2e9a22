"""What there is to draw: some models, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lineage.drawing.text import Glyphs, Span, Tone, shown
from lineage.records import Model


@dataclass(frozen=True)
class Family:
    """Models that are drawn together.

    Attributes:
        models: by id.
        fitness: of those of them that were scored, and of as many of their parents as is known.
        children: how many children each has, in the whole archive.
        champion: the best of the archive.
        names: of founders, also of those that are not drawn but may be somebody's parents.
    """

    models: Mapping[int, Model]
    fitness: Mapping[int, float] = field(default_factory=dict)
    children: Mapping[int, int] = field(default_factory=dict)
    champion: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def parents(self, model: int) -> list[int]:
        """All parents of a model, the fittest first; of equals, whoever has the larger share."""
        ranked = sorted(
            self.models[model].parents,
            key=lambda parent: (-self.fitness.get(parent.id, -1.0), -parent.share, parent.id),
        )
        return [parent.id for parent in ranked]

    def line(self, model: int) -> list[int]:
        """A model, its fittest parent, that one's fittest parent, and so on to a founder."""
        found = [model]
        while found[-1] in self.models and (parents := self.parents(found[-1])):
            found.append(parents[0])
        return [node for node in found if node in self.models]

    def label(self, model: int) -> str:
        """How people refer to it."""
        if model in self.models:
            return shown(self.models[model].label)
        return shown(self.names.get(model, f"#{model}"))

    def score(self, model: int) -> str:
        """Its fitness with three digits, or blanks."""
        return f"{self.fitness[model]:.3f}" if model in self.fitness else " " * 5

    def tone(self, model: int) -> Tone:
        """What kind of model it is."""
        if model == self.champion:
            return "champion"
        row = self.models.get(model)
        if row is None:
            return "plain"
        if row.kind == "founder":
            return "founder"
        return "living" if row.living else "fossil"

    def sign(self, model: int, glyphs: Glyphs) -> Span:
        """The sign of its kind."""
        signs = {
            "champion": glyphs.champion,
            "founder": glyphs.founder,
            "living": glyphs.living,
            "fossil": glyphs.fossil,
        }
        tone = self.tone(model)
        return Span(signs.get(tone, glyphs.fossil), tone)


def legend(glyphs: Glyphs) -> str:
    """What the signs mean."""
    return (
        f"{glyphs.champion} champion  {glyphs.living} living  {glyphs.fossil} fossil  "
        f"{glyphs.founder} founder  {glyphs.more} has more ancestors"
    )
