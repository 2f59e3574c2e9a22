"""A generator of reasoning-gym as a task: splits by seeds, and its own verifier as the verdict."""

import random
from dataclasses import dataclass, field

from arena.errors import TaskError
from arena.tasks.answers import LONGEST_ANSWER, canonical
from arena.tasks.asking import AS_THEY_ARE, Asking
from arena.tasks.comparisons.comparison import LONG_ANSWER
from arena.tasks.extractors import Extractor
from arena.tasks.generators import SPLITS
from arena.tasks.reasoning_gym.gym import Gym, GymDataset
from arena.tasks.sampling import Sampling
from arena.tasks.task import Questions
from lineage.records import Item

APART = 1_000_000
"""Between the seeds of two splits: the library gives item n of a list the seed of the list plus n,
and no list is as long."""


@dataclass(frozen=True)
class GymTask(Questions):
    """A generator of reasoning-gym.

    Attributes:
        name: of the task.
        kind: `skill` or `composite`.
        description: one line for people.
        datasets: by split.
        gym: makes items and rates answers.
        stop: as in a folder's `task.toml`; so are the others.
        longest: tokens that an answer may take.
        asking: whether items are asked as chats.
        extractor: finds the answer in what is said; None: all of it.
        sampling: how answers are sampled.
    """

    name: str
    kind: str
    description: str
    datasets: dict[str, GymDataset] = field(hash=False)
    gym: Gym = field(hash=False, compare=False)
    stop: str | tuple[str, ...] | None = None
    longest: int | None = None
    asking: Asking = AS_THEY_ARE
    extractor: Extractor | None = None
    sampling: Sampling | None = None
    _made: dict[str, list[Item]] = field(default_factory=dict, compare=False, repr=False)

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """All items of a split, or `limit` of them sampled for a seed.

        A question that an earlier split has is left out of the later one.

        Raises:
            TaskError: nothing is left, or the library refuses the settings.
        """
        items = self._items(split)
        if seed is not None:
            items = random.Random(f"{self.name}/{seed}").sample(items, len(items))
        return items[:limit]

    def _items(self, split: str) -> list[Item]:
        if split not in self._made:
            place = SPLITS.index(split)
            seen = {item.prompt for earlier in SPLITS[:place] for item in self._items(earlier)}
            items = []
            for number, (question, key) in enumerate(self.gym.items(self.datasets[split])):
                name = f"{self.name}/{split}/{number}"
                item = self.asking.asked(Item(name, self.name, split, question, key or None))
                if item.prompt not in seen:
                    items.append(item)
                    seen.add(item.prompt)
            if not items:
                raise TaskError(
                    f"{self.name} has too few different questions for a {split} split; make items "
                    "harder, or fewer of them"
                )
            self._made[split] = items
        return self._made[split]

    def extract(self, item: Item, raw: str) -> str:
        """The answer line by line, each in canonical form: many answers are grids."""
        found = None if self.extractor is None else self.extractor.find(raw)
        lines = (raw if found is None else found).strip().splitlines()
        return "\n".join(canonical(line, LONGEST_ANSWER) for line in lines)[:LONG_ANSWER]

    def verify(self, item: Item, answer: str) -> float:
        """How right the generator's own verifier finds an answer, in [0, 1]."""
        _, split, number = item.id.rsplit("/", 2)
        return self.gym.score(self.datasets[split], int(number), answer)
