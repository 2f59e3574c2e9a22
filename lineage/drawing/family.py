"""A family: some models, their fitness and number of children, to draw or to export."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lineage.drawing.text import Span, Tone, shown
from lineage.glyphs import Glyphs
from lineage.records import Model


@dataclass(frozen=True)
class RaisedLine:
    """A line that is drawn as its newest model.

    Attributes:
        founding: id of the model that it began with.
        steps: how many were born of one parent since.
        gain: in fitness over the founding; None if not both were scored.
    """

    founding: int
    steps: int
    gain: float | None

    def __str__(self) -> str:
        gained = "" if self.gain is None else f" {self.gain:+.3f}"
        return f"{self.steps} step{'s' * (self.steps != 1)} from #{self.founding}{gained}"


@dataclass(frozen=True)
class Family:
    """Models that are drawn together.

    Attributes:
        models: by id.
        fitness: by id, of those of them and of their parents that were scored.
        children: by id, the number of children in the whole archive.
        champion: id of the champion of the archive.
        names: by id, of all founders, since parents that are not drawn may be founders.
        raised: by id, the lines of models that stand for all of theirs (`folding`).
    """

    models: Mapping[int, Model]
    fitness: Mapping[int, float] = field(default_factory=dict)
    children: Mapping[int, int] = field(default_factory=dict)
    champion: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    raised: Mapping[int, RaisedLine] = field(default_factory=dict)

    def parents(self, model: int) -> list[int]:
        """Ids of all parents of a model, the fittest first; of equals, the larger share first."""
        ranked = sorted(
            self.models[model].parents,
            key=lambda parent: (-self.fitness.get(parent.id, -1.0), -parent.share, parent.id),
        )
        return [parent.id for parent in ranked]

    def line(self, model: int) -> list[int]:
        """Ids of a model, its fittest parent, that one's fittest parent, and so on to a founder."""
        line = [model]
        while line[-1] in self.models and (parents := self.parents(line[-1])):
            line.append(parents[0])
        return [node for node in line if node in self.models]

    def gain(self, model: int, other: int) -> float | None:
        """The fitness of a model minus that of another; None if not both were scored."""
        if model not in self.fitness or other not in self.fitness:
            return None
        return self.fitness[model] - self.fitness[other]

    def how(self, model: int) -> str:
        """The operator that made a model, escaped; and of a line what it came to since."""
        raised = f", {self.raised[model]}" if model in self.raised else ""
        return shown(self.models[model].operator) + raised

    def label(self, model: int) -> str:
        """A founder's name or `#id`, escaped and cut short."""
        if model in self.models:
            return shown(self.models[model].label)
        return shown(self.names.get(model, f"#{model}"))

    def score(self, model: int) -> str:
        """The fitness of a model with three digits, or as many blanks."""
        return f"{self.fitness[model]:.3f}" if model in self.fitness else " " * 5

    def tone(self, model: int) -> Tone:
        """The tone of a model: champion, founder, living, fossil, or plain if not in the family."""
        if model == self.champion:
            return "champion"
        row = self.models.get(model)
        if row is None:
            return "plain"
        if row.kind == "founder":
            return "founder"
        return "living" if row.living else "fossil"

    def sign(self, model: int, glyphs: Glyphs) -> Span:
        """The glyph of a model, by its tone."""
        by_tone = {
            "champion": glyphs.champion,
            "founder": glyphs.founder,
            "living": glyphs.living,
            "fossil": glyphs.fossil,
        }
        tone = self.tone(model)
        return Span(by_tone.get(tone, glyphs.fossil), tone)


def legend(glyphs: Glyphs) -> str:
    """A line that explains the glyphs."""
    return (
        f"{glyphs.champion} champion  {glyphs.living} living  {glyphs.fossil} fossil  "
        f"{glyphs.founder} founder  {glyphs.more} has more ancestors"
    )
