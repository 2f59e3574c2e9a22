"""A task of the harness as a task of a campaign: its own prompts, filters and metrics."""

import math
import random
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from arena.errors import TaskError
from arena.tasks.answers import canonical
from lineage.records import Item
from population.evaluation.evaluator import Evaluator
from population.harness.encoding import MAX_GEN_TOKS, encoding_of
from population.harness.tasks.documents import Document, Documents
from population.harness.tasks.examination import DocumentExamination, Response

BEGINNING = 20
"""Characters of a text that stand for it where it is shown: the same number as prompt and key."""


class HarnessTask:
    """A task of lm-evaluation-harness.

    Its documents are asked as the harness asks them, and an item is worth what the task's metric
    says of it. Where models answer freely (in the arena), what its filter finds counts.

    Args:
        documents: of the task.
        metric: by name; None for the first that is a number in [0, 1] of which more is better.
        filtered: name of the filter whose finding counts; None for the first.
    """

    kind = "skill"
    literal = False

    def __init__(
        self, documents: Documents, metric: str | None = None, filtered: str | None = None
    ) -> None:
        self._documents, self._metric, self._filter = documents, metric, filtered
        self.name = documents.name
        self._turn = Lock()

    @property
    def description(self) -> str:
        """One line for people."""
        return f"lm-evaluation-harness: {self.name} ({self._documents.output_type})"

    @property
    def stop(self) -> tuple[str, ...] | None:
        """The texts that end a free answer."""
        until = self._settings.get("until")
        return tuple(filter(None, [until] if isinstance(until, str) else until or ())) or None

    @property
    def longest(self) -> int | None:
        """Tokens that a free answer may take."""
        if self._documents.output_type != "generate_until":
            return None
        return int(self._settings.get("max_gen_toks", MAX_GEN_TOKS))

    @property
    def examiner(self) -> "HarnessTask":
        """The task says itself what models are asked, see `population.evaluation.examinations`."""
        return self

    @property
    def _settings(self) -> dict[str, Any]:
        return self._documents.config.get("generation_kwargs") or {}

    # Items

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """All items of a split, or `limit` of them sampled for a seed; `test` breaks its seal.

        Raises:
            TaskError: there are none, or the data set cannot be had.
        """
        documents = self._documents.of_split(split)
        self._try(next(iter(documents.values())))
        items = [self._item(identity, split, one) for identity, one in documents.items()]
        if seed is not None:
            items = random.Random(f"{self.name}/{seed}").sample(items, len(items))
        return items[:limit]

    def _try(self, document: Document) -> None:
        """Make sure that there are such a metric and filter, before any model is asked.

        Raises:
            TaskError: there are not.
        """
        kind, requests = self._documents.output_type, self._documents.requests(document)
        if kind != "loglikelihood_rolling":
            response: Response = "" if kind == "generate_until" else (-1.0, False)
            try:
                self.verdict(document, [response] * len(requests))
            except TaskError:
                raise
            except Exception:  # noqa: BLE001, S110 - an empty answer may be too little for its code
                pass

    def _item(self, identity: str, split: str, document: Document) -> Item:
        if self._documents.output_type == "loglikelihood_rolling":
            text = self._documents.requests(document)[0].args[0]
            return Item(identity, self.name, split, text[:BEGINNING], text[BEGINNING:][:BEGINNING])
        context, answer = self._right(document)
        return Item(identity, self.name, split, context, answer or None)

    def _right(self, document: Document) -> tuple[str, str]:
        """A context and the right answer after it; an empty one where the task has none."""
        task, requests = self._documents.task, self._documents.requests(document)
        if self._documents.output_type == "multiple_choice":
            gold = self.gold(document)
            context, answer = requests[gold[0] if gold else 0].args
            return context, answer if gold else ""
        if self._documents.output_type == "loglikelihood":
            context, answer = requests[0].args
            return context, answer
        target = task.doc_to_target(document.doc)
        if task.config.doc_to_choice is not None and isinstance(target, int):
            target = task.doc_to_choice(document.doc)[target]
        target = target[0] if isinstance(target, list) and target else target
        answer = f"{task.config.target_delimiter}{target}" if target not in (None, "", []) else ""
        return requests[0].args[0], answer

    def gold(self, document: Document) -> list[int]:
        """The right choices of a document, by number, as the harness counts them."""
        task = self._documents.task
        choices = task.doc_to_choice(document.doc)
        given = task.doc_to_text(document.doc) if task.multiple_input else None
        given = task.doc_to_target(document.doc) if given is None else given
        found = given if isinstance(given, list) else [given]
        found = [choices.index(one) if one in choices else one for one in found]
        return [one for one in found if isinstance(one, int) and 0 <= one < len(choices)]

    def document(self, item: Item) -> Document:
        """The document of an item.

        Raises:
            TaskError: the task has it no more.
        """
        document = self._documents.of_split(item.split).get(item.id)
        if document is None:
            raise TaskError(
                f"item {item.id} is not in the data set of {self.name} any more; put the files "
                "back that the campaign was started with"
            )
        return document

    # Free answers

    def extract(self, item: Item, raw: str) -> str:
        """What the task's filter finds in an answer, in canonical form."""
        if self._documents.output_type != "generate_until":
            return canonical(raw)
        with self._turn:
            return canonical(str(self._filtered(self.document(item), [raw])[0]))

    def verify(self, item: Item, answer: str) -> float | None:
        """What the task's metric says of an extracted answer; elsewhere, whether it is the key."""
        if self._documents.output_type == "generate_until":
            with self._turn:
                return self._worth(self.document(item), [answer])
        return None if item.key is None else float(answer == canonical(item.key))

    # Examinations

    def prepare(self, items: Sequence[Item], evaluator: Evaluator) -> DocumentExamination:
        """Encode and batch some items.

        Raises:
            TaskError: the task has one of them no more.
            PopulationError: an answer has no room in the models' context, or is to be sampled.
        """
        documents = [self.document(item) for item in items]
        requests = [self._documents.requests(document) for document in documents]
        return DocumentExamination.of(documents, requests, self.verdict, evaluator)

    def lesson(self, item: Item, evaluator: Evaluator) -> tuple[list[int], list[int]] | None:
        """Tokens of a context and of the right answer with its end; None where there is none."""
        encoding, document = encoding_of(evaluator), self.document(item)
        if self._documents.output_type == "loglikelihood_rolling":
            text = self._documents.requests(document)[0].args[0]
            return next(encoding.windows(text), None)
        context, answer = self._right(document)
        if not answer:
            return None
        context_ids, ids = encoding.pair(context, answer + self._end)
        if self._documents.output_type == "generate_until" and not self._end:
            ids = [*ids, encoding.eos_id]
        return encoding.fitted((context_ids, ids)) if len(ids) <= encoding.max_length else None

    @property
    def _end(self) -> str:
        stops = self.stop if self._documents.output_type == "generate_until" else None
        return stops[0] if stops else ""

    def verdict(self, document: Document, responses: Sequence[Response]) -> tuple[float, float]:
        """What a model's responses to a document are worth, and the probability of what is right.

        A text is worth the geometric mean of the probability of its bytes: 2 to the power of minus
        the bits per byte. Of choices, the probability is the right ones' share of the likelihood
        of all; of generated answers it is what they are worth.
        """
        kind = self._documents.output_type
        if kind == "loglikelihood_rolling":
            (total,) = responses
            size = len(self._documents.requests(document)[0].args[0].encode())
            worth = float(np.exp(float(total) / max(size, 1)))
            return worth, worth
        with self._turn:
            worth = self._worth(document, self._filtered(document, responses))
        if kind == "loglikelihood":
            return worth, float(np.exp(responses[0][0]))
        if kind == "multiple_choice":
            return worth, self._share(document, responses)
        return worth, worth

    def _share(self, document: Document, responses: Sequence[Any]) -> float:
        choices = self._documents.task.doc_to_choice(document.doc)
        logs = np.array([response[0] for response in responses[: len(choices)]])
        likely = np.exp(logs - logs.max()) if np.isfinite(logs).any() else np.zeros(len(logs))
        total = likely.sum()
        return float(likely[self.gold(document)].sum() / total) if total else 0.0

    def _filtered(self, document: Document, responses: Sequence[Response]) -> list[Any]:
        ensemble, requests = self._ensemble, self._documents.requests(document)
        for request, response in zip(requests, responses, strict=True):
            request.resps = [response] * (request.repeats or 1)
        ensemble.apply(requests)
        return [request.filtered_resps[ensemble.name] for request in requests]

    @cached_property
    def _ensemble(self) -> Any:
        filters = {ensemble.name: ensemble for ensemble in self._documents.task._filters}
        wanted = next(iter(filters)) if self._filter is None else self._filter
        if wanted not in filters:
            raise TaskError(
                f"task {self.name!r} has no filter {wanted!r}; there are {', '.join(filters)}"
            )
        return filters[wanted]

    def _worth(self, document: Document, filtered: Sequence[Any]) -> float:
        results = self._documents.task.process_results(document.doc, list(filtered))
        better = self._documents.task.higher_is_better()
        name = self._metric or next(
            (one for one, value in results.items() if better.get(one) and _is_number(value)), None
        )
        value: Any = results.get(name) if name is not None else None
        worth = float(value) if _is_number(value) else math.nan
        if not 0 <= worth <= 1:
            raise TaskError(
                f"task {self.name!r}: metric {name!r} gives {value!r:.60} of an item, expected a "
                f"number from 0 to 1; it has {', '.join(results)}: name one, as {self.name}:METRIC"
            )
        return worth


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_)
