"""Labels of a colony without keys: its own surest answers, made anew for every epoch and kept.

`arena.labels` decides who is heard and which answers are kept; this file lets models answer, and
scores by what came of it. Keys are looked at by nobody here: items are asked without them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from arena.labels.approval import ApprovalRule, approved, relative_trust, renewed
from arena.labels.confident_answer import ConfidentAnswer
from arena.labels.speakers import PROBES, speakers_by_task
from arena.tasks.answers import canonical
from arena.tasks.correctness import extracted_answer, is_literal
from arena.tasks.pools import Pools, distinct_items
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.queries.labels import LabelledItem, labelled_items
from lineage.queries.rounds import trust_record
from lineage.records import Answer, Item, Juror, Label
from population.campaign.context import Context, Progress, genome_of
from population.campaign.failure_handling import map_tolerantly
from population.campaign.scorer import AnsweredItems
from population.errors import CampaignError
from population.evaluation.evaluator import Evaluator
from population.randomness import generator


class LabelledItems:
    """The labels of an epoch with their items, in the order of tasks and ids.

    Args:
        labelled: items and their labels, search items and selection items, in any order.
    """

    def __init__(self, labelled: Sequence[tuple[Item, Label]]) -> None:
        # Labels that were just made and those of an archive have to come in one order.
        ordered = sorted(labelled, key=lambda pair: (pair[0].task, pair[0].id))
        self.items = [item for item, _ in ordered]
        self.labels = {item.id: label for item, label in ordered}

    def kept(self, split: str) -> list[Item]:
        """The items of a split whose labels are kept."""
        return [item for item in self.items if item.split == split and self.labels[item.id].kept]


class LabelScorer:
    """Scores by labels.

    Args:
        archive: where the colony is kept.
        context: makes the models that answer.
        kinship: of the living.
        pools: that search items are sampled from.
        seed: the campaign's.
        progress: called while models answer; may raise to stop.
    """

    questions = 1

    def __init__(
        self,
        archive: Archive,
        context: Context,
        kinship: Kinship,
        pools: Pools,
        seed: int,
        progress: Progress,
    ) -> None:
        self._archive, self._context, self._kinship = archive, context, kinship
        self._pools, self._seed, self._progress = pools, seed, progress
        self._tasks = {task.name: task for task in context.tasks}
        self._labelled: dict[int, LabelledItems] = {}

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Nobody: single answers are labels here, and no vote is taken."""
        return ()

    def jury_answers(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """Nothing."""
        return ()

    def labels(self, epoch: int) -> tuple[list[Item], tuple[Label, ...]]:
        """The labels of an epoch, kept ones and others, and their items."""
        labelled = self._of(epoch)
        return labelled.items, tuple(labelled.labels.values())

    def cost_of_epoch(self, before: int) -> int:
        """Twice the items without a label that is kept: the champion answers and is read."""
        return 2 * sum(not label.kept for label in self._of(before).labels.values())

    def scorable(self, split: str, epoch: int) -> list[Item]:
        """The items of a split whose labels are kept: nothing else can be scored."""
        return self._of(epoch).kept(split)

    def teaching(self, epoch: int) -> list[Item]:
        """The search items that gradients may use, with labels for keys."""
        labelled = self._of(epoch)
        return [
            replace(item, key=labelled.labels[item.id].answer, keys=())
            for item in labelled.kept("search")
        ]

    def prepare(self, items: Sequence[Item], epoch: int) -> AnsweredItems:
        """The items with their labels."""
        labels = self._of(epoch).labels
        pairs = [(_asked(item), self._form(item, labels[item.id].answer)) for item in items]
        return AnsweredItems(self._context.evaluator.prepare(pairs))

    def _form(self, item: Item, text: str) -> str:
        """An answer as it is compared with others."""
        task = self._tasks[item.task]
        return text if item.choices or is_literal(task) else extracted_answer(task, item, text)

    def _of(self, epoch: int) -> LabelledItems:
        if epoch not in self._labelled:
            stored = [(one.item, one.label) for one in labelled_items(self._archive, epoch)]
            # The epoch before is looked at as well, while this one is not stored yet.
            kept = {one: known for one, known in self._labelled.items() if one == epoch - 1}
            self._labelled = kept | {epoch: LabelledItems(stored or self._made(epoch))}
        return self._labelled[epoch]

    def _made(self, epoch: int) -> list[tuple[Item, Label]]:
        earlier = labelled_items(self._archive)
        return self._renewed(earlier, epoch) if earlier else self._founders_labels(epoch)

    def _founders_labels(self, epoch: int) -> list[tuple[Item, Label]]:
        """The first labels: all founders answer a few items of each task, the surest the rest."""
        arena = self._context.config.arena
        search = self._pools.drawn(
            int(generator(self._seed, "labels").integers(1 << 31)), arena.labelled
        )
        panel = self._context.config.search.panel
        each = self._context.weights.items_of_each(panel, self._tasks)
        selection = distinct_items(
            item
            for name, task in self._tasks.items()
            for item in task.items("selection", limit=each[name])
        )
        trust = relative_trust(trust_record(self._archive, epoch))
        every = [*search, *selection]
        in_steps = [item for item in every if self._next(item, []) is not None]
        at_once = [item for item in every if self._next(item, []) is None]
        answers = self._said_by_speakers(at_once, trust) + self._said_in_steps(in_steps, trust)
        rule, labels = ApprovalRule(arena.kept), []
        for items in (search, selection):
            ids = {item.id for item in items}
            labels += approved([one for one in answers if one.item in ids], trust, rule)
        if not any(label.kept for label in labels):
            raise CampaignError(
                "no founder ends its answer to any item, so there is nothing to breed by; check "
                "the stop text of the tasks, or give items keys"
            )
        by_id = {item.id: item for item in (*search, *selection)}
        return [(by_id[label.item], label) for label in labels]

    def _said_by_speakers(
        self,
        items: Sequence[Item],
        trust: Mapping[tuple[int, str], float],
        *,
        in_steps: bool = False,
    ) -> list[ConfidentAnswer]:
        """All founders answer a few items of each task, and the surest of them the rest."""
        founders = list(self._archive.founder_paths())
        probes = _first_of_each_task(items, PROBES)
        answers = self._ask(dict.fromkeys(founders, probes), in_steps=in_steps)
        kinship = self._kinship.relationship(founders)
        size = self._context.config.arena.speakers
        speakers = speakers_by_task(answers, founders, kinship, trust, size)
        probed = {item.id for item in probes}
        rest = [item for item in items if item.id not in probed]
        answers = [one for one in answers if one.model in speakers[one.task]]
        return answers + self._ask(
            {model: [item for item in rest if model in speakers[item.task]] for model in founders},
            in_steps=in_steps,
        )

    def _said_in_steps(
        self, items: Sequence[Item], trust: Mapping[tuple[int, str], float]
    ) -> list[ConfidentAnswer]:
        """An answer to each item of tasks with steps, each step asked of whoever is surest of it.

        It counts as said by who took the last step, and is as sure as the least sure step.
        """
        said: dict[str, list[str]] = {item.id: [] for item in items}
        whole: dict[str, ConfidentAnswer] = {}
        while asked := [
            (item, step) for item in items if (step := self._next(item, said[item.id])) is not None
        ]:
            by_step = {step.id: item for item, step in asked}
            answers = self._said_by_speakers([step for _, step in asked], trust, in_steps=True)
            for label in approved(answers, trust, ApprovalRule(share=1.0)):
                item = by_step.pop(label.item)
                said[item.id].append(label.answer.strip())
                before = whole[item.id].confidence if item.id in whole else 0.0
                sure = min(before, label.confidence)
                whole[item.id] = ConfidentAnswer(
                    item.id, item.task, label.model, label.answer, sure
                )
            lost = {item.id for item in by_step.values()}  # nobody answered
            items = [item for item in items if item.id not in lost]
        return [whole[item.id] for item in items]

    def _next(self, item: Item, answers: Sequence[str]) -> Item | None:
        """What is asked next for an item after some answers; None where its task has no steps."""
        step = getattr(self._tasks[item.task], "step", None)
        asked: Item | None = None if step is None else step(item, answers)
        return asked

    def _renewed(self, earlier: Sequence[LabelledItem], epoch: int) -> list[tuple[Item, Label]]:
        """The labels of the epoch before; what nobody was sure of, the champion is asked."""
        latest = self._archive.latest()
        champion = latest.champion if latest else 1
        trust = relative_trust(trust_record(self._archive, epoch))
        unsure = [one.item for one in earlier if not one.label.kept]
        answers = self._ask({champion: unsure})
        first = [one for one in labelled_items(self._archive, 0) if one.label.kept]
        level = min(one.label.confidence for one in first)
        rule = ApprovalRule(self._context.config.arena.kept)
        labels = renewed([one.label for one in earlier], answers, trust, rule, level)
        return [(one.item, label) for one, label in zip(earlier, labels, strict=True)]

    def _ask(
        self, items: Mapping[int, Sequence[Item]], *, in_steps: bool = False
    ) -> list[ConfidentAnswer]:
        """The answers of some models, each to its own items.

        Nobody can be sure of an answer that says nothing to its task; a step's may be anything.
        """
        models = [model for model, own in items.items() if own]
        rows = {model.id: model for model in self._archive.models(ids=models)}
        asked = {model: [_asked(item) for item in items[model]] for model in models}

        def answer(model: int, evaluator: Evaluator) -> list[tuple[str, float]]:
            return evaluator.answer_confidently(asked[model])

        replies = map_tolerantly(
            self._context,
            [genome_of(self._archive, self._context, rows[model]) for model in models],
            models,
            answer,
            self._progress,
            "labels",
        )
        return [
            ConfidentAnswer(item.id, item.task, model, text, sure if says else -math.inf)
            for model, reply in zip(models, replies, strict=True)
            for item, (text, sure) in zip(asked[model], reply or (), strict=reply is not None)
            for says in [bool(canonical(text if in_steps else self._form(item, text)))]
        ]


def _asked(item: Item) -> Item:
    """An item as it is asked: not even the length of an answer may follow from a key."""
    return replace(item, key=None, keys=())


def _first_of_each_task(items: Sequence[Item], count: int) -> list[Item]:
    taken: dict[str, int] = {}
    first = []
    for item in items:
        taken[item.task] = taken.get(item.task, 0) + 1
        if taken[item.task] <= count:
            first.append(item)
    return first
