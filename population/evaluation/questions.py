"""Builds what models are asked: from items and tasks to tokens and limits of answers."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

from arena.tasks import Task
from arena.tasks.answers import canonical
from arena.tasks.choice_scores import choice_score_of
from arena.tasks.correctness import correctness, extracted_answer, is_literal
from arena.tasks.sampling import sampling_of
from lineage.records import Item
from population.errors import PopulationError
from population.evaluation.alternatives import Alternatives
from population.evaluation.batching import (
    BatchLimits,
    PreparedItems,
    Question,
    TokenSequence,
    batch_by_length,
    tokens_read,
)
from population.evaluation.examinations import Examiner, examiner_of
from population.evaluation.prompt_tokenizer import EncodedPrompt, PromptTokenizer

DEFAULT_ANSWER_TOKENS = 64
"""Tokens that an answer may take beyond its key's, unless its task says how many it may take."""

CACHED_PROMPTS = 1 << 14
"""Items whose prompts are kept as tokens."""

CACHED_TARGETS = 1 << 14
"""Items that are kept as tokens with the answer that models learn: steps sample them again."""

NO_KEY = 'has no key to score models by; with [search] merit = "jury" the colony judges itself'
"""What is said of an item that models cannot be scored on."""


class QuestionBuilder:
    """Encodes items for the models of a campaign, and says what counts as a right answer.

    Args:
        tokenizer: of all models.
        tasks: by name, what says which answers are right; where a task is not named, the key is.
        limits: of batches.
    """

    def __init__(
        self, tokenizer: PromptTokenizer, tasks: Mapping[str, Task], limits: BatchLimits
    ) -> None:
        self.tokenizer, self.limits = tokenizer, limits
        self._tasks = tasks
        self._prompts: dict[Item, tuple[EncodedPrompt, int]] = {}
        self._targets: dict[Item, Question] = {}

    def clone(self) -> "QuestionBuilder":
        """Another one with a tokenizer and a cache of its own, for another thread."""
        return QuestionBuilder(copy.deepcopy(self.tokenizer), self._tasks, self.limits)

    # Questions

    def is_literal(self, item: Item) -> bool:
        """Whether an answer to an item is right if and only if it is the key, in canonical form."""
        return item.task not in self._tasks or is_literal(self._tasks[item.task])

    def with_answer(self, item: Item, answer: str) -> Question:
        """Whether a model gives the same answer as somebody did, in the form that its task sees."""
        prompt, literal = self.tokenizer.encode_prompt(item), self.is_literal(item)
        ids = tuple(self.tokenizer.encode_answer(item, answer, prompt))
        expected = canonical(answer) if literal else answer
        return Question(item, prompt, answer, ids, expected, canonical_match=literal)

    def with_key(self, item: Item) -> Question:
        """Whether a model is right, as the item's task sees it.

        Raises:
            PopulationError: only the key would be right, and there is none.
        """
        if self.is_literal(item):
            if item.key is None:
                raise PopulationError(f"item {item.id} {NO_KEY}")
            return self.with_answer(item, item.key)
        prompt = self.tokenizer.encode_prompt(item)
        ids = () if item.key is None else self.tokenizer.encode_answer(item, item.key, prompt)
        sampling = sampling_of(self._tasks.get(item.task), item)
        return Question(
            item, prompt, item.key, tuple(ids), None, canonical_match=False, sampling=sampling
        )

    def examiner(self, item: Item) -> Examiner | None:
        """What says itself how models are examined on an item, if its task has that."""
        return examiner_of(self._tasks.get(item.task))

    def examined(
        self, item: Item, lesson: tuple[Sequence[int], Sequence[int]] | None = None
    ) -> Question:
        """A question that its task's examiner asks.

        Args:
            item: of the task.
            lesson: tokens of a text and of what should follow it, where gradient steps learn.
        """
        context, answer = lesson or ((self.tokenizer.eos_id,), ())
        prompt = EncodedPrompt(item.prompt, tuple(context))
        return Question(
            item, prompt, item.key, tuple(answer), None, canonical_match=False, examined=True
        )

    def choices(self, item: Item) -> list[Question]:
        """A question for each of an item's choices."""
        prompt = self.tokenizer.encode_prompt(item)
        return [
            Question(
                item,
                prompt,
                choice,
                tuple(self.tokenizer.encode_choice(choice, prompt)),
                None,
                choice=True,
            )
            for choice in item.choices
        ]

    def target(self, item: Item) -> Question:
        """The one answer that a model is to learn: the key, or the right choice.

        Raises:
            PopulationError: there is none.
        """
        if item not in self._targets:
            if len(self._targets) >= CACHED_TARGETS:
                self._targets.clear()
            self._targets[item] = (
                self.choices(item)[self._place(item, item.key)]
                if item.choices
                else self.with_key(item)
            )
        return self._targets[item]

    # Batches

    def prepare_answers(self, asked: Sequence[tuple[Item, str | None]]) -> PreparedItems:
        """Batch what some items are asked.

        Args:
            asked: items with the answer that a model should give; None for the right ones.

        Raises:
            PopulationError: a prompt and its answer are longer than the model's context, or there
                is no key where it is needed.
        """
        questions: list[Question] = []
        alternatives: list[Alternatives] = []
        by_item: dict[str, tuple[int, ...]] = {}
        for item, answer in asked:
            first = len(questions)
            if answer is None and self.examiner(item) is not None:
                questions.append(self.examined(item))
                alternatives.append(Alternatives((first,)))
                continue
            if item.choices:
                if item.id not in by_item:
                    questions += self.choices(item)
                    by_item[item.id] = tuple(range(first, len(questions)))
                right = self._place(item, item.key if answer is None else answer)
                score = choice_score_of(self._tasks.get(item.task))
                alternatives.append(Alternatives(by_item[item.id], item.choices, score, right))
                continue
            if answer is not None:
                questions.append(self.with_answer(item, answer))
            elif item.keys and self.is_literal(item):
                questions += [self.with_answer(item, key) for key in item.accepted]
            else:
                questions.append(self.with_key(item))
            alternatives.append(Alternatives(tuple(range(first, len(questions)))))
        prepared = self.prepare(questions)
        if all(len(one.questions) == 1 for one in alternatives):
            return prepared
        return replace(prepared, alternatives=tuple(alternatives))

    def _place(self, item: Item, answer: str | None) -> int:
        """The place of an answer among an item's choices; of what is none of them, -1.

        Raises:
            PopulationError: there is no answer.
        """
        if answer is None:
            raise PopulationError(f"item {item.id} {NO_KEY}")
        forms = [canonical(choice) for choice in item.choices]
        form = canonical(answer)
        return forms.index(form) if form in forms else -1

    def prepare(self, questions: Sequence[Question]) -> PreparedItems:
        """Batch the answers of some questions.

        Raises:
            PopulationError: a prompt and its answer are longer than the model's context.
        """
        sequences = [
            TokenSequence(number, q.prompt.ids, q.answer_ids, q.prompt.shown)
            for number, q in enumerate(questions)
        ]
        self.limits.check(sequences, [question.item for question in questions])
        read = [sequence for sequence in sequences if sequence.continuation]
        return PreparedItems(
            len(sequences),
            batch_by_length(read, self.limits),
            tuple(questions),
            tokens=tokens_read(read),
        )

    def prepare_texts(self, items: Sequence[Item]) -> PreparedItems:
        """Batch items as running texts: prompt, key and end, all tokens after the first.

        What stands before an image, and the tokens that stand for it, nobody has to predict.

        Raises:
            PopulationError: a text is longer than the model's context.
        """
        sequences = []
        for number, item in enumerate(items):
            prompt = self.tokenizer.encode_prompt(item)
            key = "" if item.key is None else item.key
            text = [*prompt.ids, *self.tokenizer.encode_answer(item, key, prompt)]
            begins = prompt.begins
            sequences.append(TokenSequence(number, text[:begins], text[begins:], prompt.shown))
        self.limits.check(sequences, items)
        return PreparedItems(
            len(sequences), batch_by_length(sequences, self.limits), tokens=tokens_read(sequences)
        )

    # Free answers

    def prompt_of(self, item: Item) -> tuple[EncodedPrompt, int]:
        """The prompt of an item as models get it, and the tokens that an answer may take."""
        if item not in self._prompts:
            if len(self._prompts) >= CACHED_PROMPTS:
                self._prompts.clear()
            prompt = self.tokenizer.encode_prompt(item)
            self._prompts[item] = prompt, self._answer_tokens(item, prompt)
        return self._prompts[item]

    def _answer_tokens(self, item: Item, prompt: EncodedPrompt) -> int:
        key_tokens = 0
        if item.key is not None:
            key_tokens = len(self.tokenizer.encode_answer(item, item.key, prompt))
            spaced = f" {item.key}"
            if not item.key[:1].isspace() and self.tokenizer.unencodable_part(item, spaced) is None:
                spaced_tokens = len(self.tokenizer.encode_answer(item, spaced, prompt))
                key_tokens = max(key_tokens, spaced_tokens)
            if self.is_literal(item):
                return key_tokens
        longest = getattr(self._tasks.get(item.task), "longest", None)
        return DEFAULT_ANSWER_TOKENS + key_tokens if longest is None else int(longest)

    # What an answer is worth

    def score_of(self, question: Question, text: str) -> float:
        """How right an answer to a question is, in [0, 1].

        Raises:
            PopulationError: there is no key, and the task cannot tell.
            TaskError: the task's own code failed.
        """
        item = question.item
        task = self._tasks.get(item.task)
        if question.expected is None:
            score = correctness(self._tasks[item.task], item, text)
            if score is None:
                raise PopulationError(
                    f"item {item.id} has no key to score models by, and verify() of its "
                    'task cannot tell; with [search] merit = "jury" the colony judges itself'
                )
            return score
        answer = canonical(text) if task is None else extracted_answer(task, item, text)
        return float(answer == question.expected)
