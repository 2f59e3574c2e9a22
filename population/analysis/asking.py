"""Asks models of a colony a prompt: each answers, and the surest and most trusted is heard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from arena.labels.approval import relative_trust
from arena.labels.confident_answer import ConfidentAnswer
from lineage import Archive
from lineage.queries.rounds import trust_record
from lineage.records import ImageFile, Item, Model
from population.campaign.context import Context, Progress, genome_of, silent
from population.campaign.failure_handling import map_tolerantly
from population.evaluation.evaluator import Evaluator


@dataclass(frozen=True)
class Reply:
    """What a model says to a prompt.

    Attributes:
        model: that says it.
        answer: with the confidence that the model has in it.
        trust: in the model, from 0 to 1 for the most trusted one; 1 where it was never examined.
    """

    model: Model
    answer: ConfidentAnswer
    trust: float

    @property
    def weight(self) -> float:
        """Who has most of it is heard: trust times confidence, in [0, 1]."""
        return self.trust * self.answer.sureness


def ask(
    archive: Archive,
    context: Context,
    prompt: str,
    models: Sequence[Model],
    task: str = "",
    progress: Progress = silent,
    images: Sequence[ImageFile] = (),
) -> list[Reply]:
    """The replies of some models, who is to be heard first.

    Args:
        archive: of the models.
        context: makes them.
        prompt: as it is; nothing is put before or behind it.
        models: to be asked; one that fails says nothing, and why is reported.
        task: what the prompt asks for, where trust was earned; otherwise trust in general counts.
        progress: called while they answer; may raise to stop.
        images: what is shown, where the prompt says `<image>`, or before it.
    """
    item = Item("asked", task, "search", prompt, None, images=tuple(images))

    def answer(model: int, evaluator: Evaluator) -> tuple[str, float]:
        return evaluator.answer_confidently([item])[0]

    ids = [model.id for model in models]
    genomes = [genome_of(archive, context, model) for model in models]
    said = map_tolerantly(context, genomes, ids, answer, progress, "answers")
    # In general: as if all that was ever judged were one task.
    record = trust_record(archive)
    known = [one for one in record if one.task == task] if task else record
    trust = relative_trust([replace(one, task=task) for one in known])
    replies = [
        Reply(
            model,
            ConfidentAnswer(item.id, task, model.id, *reply),
            trust.get((model.id, task), 1.0),
        )
        for model, reply in zip(models, said, strict=True)
        if reply is not None
    ]
    return sorted(replies, key=lambda reply: (-reply.weight, reply.model.id))
