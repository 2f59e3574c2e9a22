"""The evaluator: one network that becomes each model in turn, to score it, ask it or let it judge.

`forward_pass` reads given answers, `greedy_decoding` generates free ones, and `questions` says what
is asked and which answers are right. Here they are put together.

The task says what is right (`arena.tasks.correctness`), whoever asks. The key in canonical form is;
where only the key is right, a beginning that cannot become it is wrong. Any other answer is decoded
to its end: where a task has an expression or a verifier of its own, and where the beginning may yet
become the key in canonical form, as with another white space before it.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from arena.tasks import Task
from arena.tasks.answers import canonical
from arena.tasks.correctness import can_become
from lineage.records import Floats, Item
from population.errors import CheckpointError
from population.evaluation.alternatives import outcomes
from population.evaluation.backward_pass import COST, TakeGradient, answer_loss
from population.evaluation.batching import (
    BatchLimits,
    PreparedItems,
    Question,
    TokenSequence,
    batch_by_length,
    tokens_read,
)
from population.evaluation.coherence import GeneratedAnswer
from population.evaluation.devices import resolve_device, resolve_dtype
from population.evaluation.examinations import Examiner
from population.evaluation.forward_pass import AnswersRead, read_answers
from population.evaluation.greedy_decoding import DecodingRequest, decode_greedily, tokens_taken
from population.evaluation.meter import Meter
from population.evaluation.networks import Networks, context_length_of
from population.evaluation.prompt_tokenizer import (
    EncodedPrompt,
    PromptTokenizer,
    Stops,
    stopped_at,
)
from population.evaluation.questions import QuestionBuilder
from population.evaluation.sampled_answers import SampledAnswers
from population.weights.materialise import State

CUT_OFF = "\u2026"
"""Marks an answer that was cut off and seems right without what was cut."""

SHORT = 16
"""Tokens of an answer that is decoded among many others, before it is known to be longer."""

SPARE_TOKENS = 8
"""Tokens more that the key may take in other tokens of the vocabulary, or with white space."""


class Evaluator:
    """One network that can take the weights of any model of the colony in turn.

    Args:
        path: a founder's folder: its config and tokenizer serve for all.
        device: a torch device, or "auto".
        dtype: arithmetic of the forward passes, or "auto" for the checkpoint's where the device
            is good at it.
        stored: the dtype of the checkpoints' weights.
        batch_tokens: tokens in one forward pass at most; None chooses by device.
        stops: the texts that end an answer, by task; tasks that are not named end with the
            tokenizer's end-of-sequence token.
        tasks: by name, what says which answers are right; where a task is not named, the key is.
        tokenizer: if it is open already; `stops` are its own then.

    Raises:
        CheckpointError: transformers cannot use the founder's folder.
        PopulationError: there is no such device.
    """

    def __init__(
        self,
        path: Path,
        *,
        stored: torch.dtype,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        stops: Stops | None = None,
        tasks: Mapping[str, Task] | None = None,
        tokenizer: PromptTokenizer | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(dtype, stored, self.device)
        self.meter = Meter()
        try:
            config = AutoConfig.from_pretrained(path, trust_remote_code=False)
            tokenizer = tokenizer or PromptTokenizer(path, stops)
            self._networks = Networks(config, self.dtype, self.device)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{path}: transformers cannot use it: {reason}") from None
        # On a CPU what a layer computes should stay in cache; an accelerator wants full batches.
        limits = BatchLimits(
            batch_tokens=batch_tokens or (2048 if self.device.type == "cpu" else 32768),
            context_length=context_length_of(config),
            vocabulary_size=getattr(config.get_text_config(), "vocab_size", None) or 1,
            device=self.device,
        )
        self._questions = QuestionBuilder(tokenizer, tasks or {}, limits)

    @property
    def tokenizer(self) -> PromptTokenizer:
        """The tokenizer of all models."""
        return self._questions.tokenizer

    @property
    def context_length(self) -> int:
        """Tokens that the model reads at most."""
        return self._questions.limits.context_length

    @property
    def batch_tokens(self) -> int:
        """Tokens in one forward pass at most."""
        return self._questions.limits.batch_tokens

    @property
    def _model(self) -> Any:
        """The network, with the weights that were loaded last."""
        return self._networks.working

    @property
    def architecture(self) -> str:
        """The name of the network's class."""
        return type(self._model).__name__

    @property
    def bytes(self) -> int:
        """Memory that the network's weights take, in bytes."""
        return sum(p.numel() * p.element_size() for p in self._model.parameters())

    def clone(self, dtype: str | None = None) -> "Evaluator":
        """Another evaluator that can work beside this one; they share nothing but the meter.

        Args:
            dtype: arithmetic of its forward passes; None for the same.
        """
        twin = copy.copy(self)
        if dtype is None:
            twin._networks = copy.deepcopy(self._networks)
        else:
            twin.dtype = resolve_dtype(dtype, self.dtype, self.device)
            twin._networks = self._networks.anew(twin.dtype)
        twin._questions = self._questions.clone()
        return twin

    def warm_up(self) -> None:
        """Make one forward pass, uncounted, so that everything that starts lazily has started."""
        with torch.inference_mode():
            self._model(torch.zeros((1, 4), dtype=torch.long, device=self.device), use_cache=False)

    def load_weights(self, state: State) -> None:
        """Become the model with these weights, of whatever depth.

        Raises:
            CheckpointError: the names of the weights do not fit the architecture.
        """
        self._networks.load_weights(state)

    def drop_weights(self) -> None:
        """Let go of the weights, so that others have their memory; the next act is to load some."""
        self._networks.drop_weights()

    # Preparing

    def prepare(self, answered: Sequence[tuple[Item, str]]) -> PreparedItems:
        """Tokenise and batch (item, answer) pairs, for `score`.

        A model is right where it gives the answer, in the form that the item's task sees.

        Raises:
            PopulationError: a sequence is longer than the model's context.
        """
        return self._questions.prepare_answers(answered)

    def prepare_texts(self, items: Sequence[Item]) -> PreparedItems:
        """Tokenise and batch items as running text, from prompt to end, for `surprise`.

        Raises:
            PopulationError: a text is longer than the model's context.
        """
        return self._questions.prepare_texts(items)

    def prepare_keys(self, items: Sequence[Item]) -> PreparedItems:
        """Tokenise and batch items with what makes an answer right, for `score`.

        Raises:
            PopulationError: an item has no key, and its task has no other way to tell; or a
                sequence is longer than the model's context.
        """
        prepared = self._questions.prepare_answers([(item, None) for item in items])
        examiners: dict[Examiner, list[int]] = {}
        for number, question in enumerate(prepared.questions):
            examiner = self._questions.examiner(question.item)
            if question.examined and examiner is not None:
                examiners.setdefault(examiner, []).append(number)
        examinations = tuple(
            (tuple(rows), examiner.prepare([prepared.questions[n].item for n in rows], self))
            for examiner, rows in examiners.items()
        )
        return replace(prepared, examinations=examinations) if examinations else prepared

    def prepare_targets(self, items: Sequence[Item]) -> PreparedItems:
        """Tokenise and batch items with the one answer that is to become likelier, for `loss`.

        That is the key (of several the first) or the right choice, without the others.

        Raises:
            PopulationError: an item has neither, and its task has no other way to tell; or a
                sequence is longer than the model's context.
        """
        targets = []
        for item in items:
            examiner = self._questions.examiner(item)
            targets.append(
                self._questions.target(item)
                if examiner is None
                else self._questions.examined(item, examiner.lesson(item, self))
            )
        return self._questions.prepare(targets)

    def prepare_tokens(self, sequences: Sequence[TokenSequence]) -> PreparedItems:
        """Batch texts that are tokens already, numbered from 0 in their order, for `read`.

        The last token of a text is predicted and not read, so a text may be one token longer than
        the model's context.
        """
        batches = batch_by_length(sequences, self._questions.limits)
        return PreparedItems(len(sequences), batches, tokens=tokens_read(sequences))

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return self.tokenizer.count_tokens(text)

    # Reading given answers

    def score(self, prepared: PreparedItems) -> tuple[Floats, Floats]:
        """How right the greedily decoded answers are, and the probability of the given ones.

        The probability is of the answer as it is written; where an answer was decoded to its end,
        it is the verdict if that is more.

        Args:
            prepared: by `prepare` or `prepare_keys`.

        Returns:
            Two arrays of shape (items,) in [0, 1]. A model whose logits are not finite scores 0. On
            choices the verdict is whether it picks the right one, and the probability is the
            softmax over the choices' scores.

        Raises:
            PopulationError: an item has no key, and its task cannot tell.
        """
        examined = sum(len(rows) for rows, _ in prepared.examinations)
        read = self.read(prepared, prepared.asked - examined)
        exact, probability = self._score_questions(prepared, read)
        if prepared.alternatives:
            logs = read.log_likelihood
            exact, probability = outcomes(prepared.alternatives, exact, probability, logs)
        if prepared.answer_credit is None:
            return exact, probability
        return prepared.answer_credit @ exact, prepared.answer_credit @ probability

    def loglikelihood(self, answered: Sequence[tuple[Item, str]]) -> list[float]:
        """The log-probability, in nats, of each answer including its end.

        An answer that does not fit into the model's context has minus infinity.
        """
        context_length = self._questions.limits.context_length
        log_likelihoods = np.full(len(answered), -np.inf)
        questions = [self._questions.with_answer(*pair) for pair in answered]
        fitting = [
            number
            for number, question in enumerate(questions)
            if len(question.prompt.ids) + len(question.answer_ids) <= context_length
        ]
        prepared = self._questions.prepare([questions[number] for number in fitting])
        log_likelihoods[fitting] = self.read(prepared).log_likelihood
        return [float(value) for value in log_likelihoods]

    def surprise(self, prepared: PreparedItems) -> float:
        """Mean negative log-likelihood per token of some texts, in nats; infinite if broken.

        Args:
            prepared: texts from `prepare_texts`, at least one; or anything else that was prepared,
                of which the answers are read.
        """
        tokens = sum(len(batch.target_positions) for batch in prepared.batches)
        return -float(self.read(prepared).log_likelihood.sum()) / tokens

    def read_tokens(self, sequences: Sequence[TokenSequence]) -> AnswersRead:
        """What the model makes of texts that are tokens already, see `prepare_tokens`."""
        return self.read(self.prepare_tokens(sequences))

    def read(self, prepared: PreparedItems, counted: int | None = None) -> AnswersRead:
        """What the model makes of prepared texts.

        Args:
            prepared: texts.
            counted: item evaluations that this costs; None for one for each that was asked.
        """
        # No pass with images is recorded.
        shown = any(batch.shown for batch in prepared.batches)
        with self.meter.forward(prepared.asked if counted is None else counted, prepared.tokens):
            return read_answers(self._model, prepared, None if shown else self._networks.reader)

    def loss(
        self,
        state: State,
        prepared: PreparedItems,
        take: TakeGradient,
        *,
        room: float = np.inf,
        answers: int | None = None,
    ) -> float:
        """Become a model, and take the gradient of the negative log-likelihood of given answers.

        An item counts three item evaluations: a backward pass costs two forward passes.

        Args:
            state: the model's weights.
            prepared: by `prepare_targets`.
            take: called with the name of each weight in the state and its gradient; a tied weight
                comes once for each of its places if the network keeps them apart.
            room: bytes that layers may keep for the way back; where a batch would take more, they
                compute it again, which takes a third more time and gives the same bits.
            answers: that the mean is over, if these are a part of them.

        Returns:
            The loss in nats.
        """
        self.load_weights(state)
        tokens = max((batch.tokens.numel() for batch in prepared.batches), default=0)
        recompute = tokens * self._networks.kept_per_token > room
        with self.meter.forward(COST * prepared.size, COST * prepared.tokens):
            return answer_loss(
                self._model,
                self._networks.names(state),
                prepared,
                self._networks.by_stored_names(state, take),
                recompute=recompute,
                answers=answers,
            )

    # Generating answers

    def continue_tokens(
        self,
        requests: Sequence[DecodingRequest],
        end_ids: Sequence[int] = (),
        counted: int | None = None,
    ) -> list[list[int]]:
        """The tokens that the model generates greedily after prompts that are tokens already.

        Args:
            requests: prompts, and when to stop.
            end_ids: tokens that end an answer beside the tokenizer's end-of-sequence token.
            counted: item evaluations that this costs; None for one each.

        Returns:
            For each request its tokens, its end among them if it came, at most as many as it asks.
        """
        with self.meter.forward(len(requests) if counted is None else counted):
            generated = self._continue(requests, end_ids)
        return [ids[: request.max_tokens] for request, ids in zip(requests, generated, strict=True)]

    def generate(self, items: Sequence[Item]) -> list[str]:
        """One answer per item, decoded greedily, without its end.

        An answer that is longer than the longest key is cut there: it is wrong whatever follows.
        Where something else than the key may be right, it is cut where its task says.
        """
        return [
            # A key with something after it is not the key.
            f"{answer.text}{CUT_OFF}" if self._seems_right(item, answer) else answer.text
            for item, answer in zip(items, self.answer_freely(items, beyond=1), strict=True)
        ]

    def _seems_right(self, item: Item, answer: GeneratedAnswer) -> bool:
        return (
            not answer.ended
            and item.key is not None
            and self._questions.is_literal(item)
            and canonical(answer.text) == canonical(item.key)
        )

    def answer_freely(self, items: Sequence[Item], beyond: int = 32) -> list[GeneratedAnswer]:
        """One answer per item, decoded greedily, and whether it ended by itself.

        To an item with choices it is the one that the model picks.

        Args:
            items: what to answer, all together.
            beyond: an answer is cut when it is this many tokens longer than the longest key.
        """
        picks = iter(self._picked([item for item in items if item.choices]))
        texts = iter(self._said([item for item in items if not item.choices], beyond))
        return [next(picks if item.choices else texts) for item in items]

    def _picked(self, items: Sequence[Item]) -> list[GeneratedAnswer]:
        """The choices that the model picks."""
        prepared = self._questions.prepare_answers([(item, item.choices[0]) for item in items])
        logs = self.read(prepared).log_likelihood if items else np.empty(0)
        return [
            GeneratedAnswer(one.choices[one.pick(logs)], ended=True)
            for one in prepared.alternatives
        ]

    def _said(self, items: Sequence[Item], beyond: int) -> list[GeneratedAnswer]:
        """Free answers; see `answer_freely`."""
        if not items:
            return []
        pairs = [self._questions.prompt_of(item) for item in items]
        prompts, answer_tokens = [prompt for prompt, _ in pairs], [tokens for _, tokens in pairs]
        short = [item.key is not None and self._questions.is_literal(item) for item in items]
        # Wrong answers to items with short keys are kept as long as they always were.
        longest_key = max(
            (tokens for tokens, flag in zip(answer_tokens, short, strict=True) if flag), default=0
        )
        limits = [
            beyond + (longest_key if flag else tokens)
            for tokens, flag in zip(answer_tokens, short, strict=True)
        ]
        with self.meter.forward(len(items)):
            return self._decoded(items, prompts, limits)

    def _decoded(
        self, items: Sequence[Item], prompts: Sequence[EncodedPrompt], limits: Sequence[int]
    ) -> list[GeneratedAnswer]:
        generated = self._decode(items, prompts, limits)
        return [
            GeneratedAnswer(*self.tokenizer.decode_answer(item, ids[: max(0, limit)], prompt))
            for item, ids, prompt, limit in zip(items, generated, prompts, limits, strict=True)
        ]

    def answer_confidently(self, items: Sequence[Item]) -> list[tuple[str, float]]:
        """One answer per item, decoded greedily, and how sure the model is of it.

        Nothing may follow from keys, so items have none. Each counts two item evaluations: what was
        decoded is read once more.

        Returns:
            Texts without their ends, and the mean log-probabilities of their tokens in nats, ends
            included; minus infinity for an answer that did not end, or whose logits are not finite.
            Of a choice it is the log-probability among the choices, which takes one evaluation.
        """
        picks = iter(self._picked_confidently([item for item in items if item.choices]))
        texts = iter(self._said_confidently([item for item in items if not item.choices]))
        return [next(picks if item.choices else texts) for item in items]

    def _picked_confidently(self, items: Sequence[Item]) -> list[tuple[str, float]]:
        prepared = self._questions.prepare_answers([(item, item.choices[0]) for item in items])
        logs = self.read(prepared).log_likelihood if items else np.empty(0)
        return [one.pick_confidently(logs) for one in prepared.alternatives]

    def _said_confidently(self, items: Sequence[Item]) -> list[tuple[str, float]]:
        pairs = [self._questions.prompt_of(item) for item in items]
        prompts, limits = [prompt for prompt, _ in pairs], [tokens for _, tokens in pairs]
        with self.meter.forward(len(items)):
            # Most answers are short, and the room for a long one makes small batches.
            answers = self._decoded(items, prompts, [min(limit, SHORT) for limit in limits])
            long = [n for n, one in enumerate(answers) if not one.ended and limits[n] > SHORT]
            again = self._decoded(
                [items[n] for n in long], [prompts[n] for n in long], [limits[n] for n in long]
            )
            for number, answer in zip(long, again, strict=True):
                answers[number] = answer
        sure = np.full(len(items), -np.inf)
        ended = [number for number, answer in enumerate(answers) if answer.ended]
        questions = [self._questions.with_answer(items[n], answers[n].text) for n in ended]
        if ended:
            read = self.read(self._questions.prepare(questions))
            sure[ended] = read.log_likelihood / [len(one.answer_ids) for one in questions]
        return [(answer.text, float(value)) for answer, value in zip(answers, sure, strict=True)]

    # Scoring

    def _score_questions(self, prepared: PreparedItems, read: AnswersRead) -> tuple[Floats, Floats]:
        """As `score`, for each question: two arrays of shape (questions,)."""
        exact, probability = read.exact.copy(), np.exp(read.log_likelihood)
        for rows, examination in prepared.examinations:
            exact[list(rows)], probability[list(rows)] = examination.score(self)
        undecided = []
        for number, question in enumerate(prepared.questions):
            if question.choice or question.examined or question.sampling is not None:
                continue
            if question.answer_ids and not np.isfinite(read.log_likelihood[number]):
                continue
            answer: str | bool | None = None
            if read.exact[number]:
                if question.canonical_match:
                    continue
                answer = question.answer
            elif question.answer_ids:
                beginning = number, int(read.matched[number]), int(read.instead[number])
                if beginning not in prepared.decided:
                    prepared.decided[beginning] = self._decide(question, *beginning[1:])
                answer = prepared.decided[beginning]
            if isinstance(answer, str):
                exact[number] = self._questions.score_of(question, answer)
                probability[number] = max(probability[number], exact[number])
            elif answer is None:
                undecided.append(number)
        questions = [prepared.questions[number] for number in undecided]
        for number, full in zip(undecided, self._decode_to_the_end(questions), strict=True):
            # Only the key and its end are the key; elsewhere the task says what it makes of it.
            if not full.ended and prepared.questions[number].canonical_match:
                continue
            exact[number] = self._questions.score_of(prepared.questions[number], full.text)
            probability[number] = max(probability[number], exact[number])
        self._score_samples(prepared, read, exact, probability)
        return exact, probability

    def _score_samples(
        self, prepared: PreparedItems, read: AnswersRead, exact: Floats, probability: Floats
    ) -> None:
        """Score questions of which several answers are sampled; a broken model is not asked."""
        rows = [
            number
            for number, question in enumerate(prepared.questions)
            if question.sampling is not None
            and (not question.answer_ids or np.isfinite(read.log_likelihood[number]))
        ]
        if not rows:
            return
        sampled = SampledAnswers([prepared.questions[number] for number in rows], self._questions)
        with self.meter.forward(sampled.further):
            decoded = self._continue(sampled.requests)
        for number, worth in zip(rows, sampled.worths(decoded), strict=True):
            exact[number], probability[number] = worth, max(probability[number], worth)

    def _decide(self, question: Question, matched: int, instead: int) -> str | bool | None:
        """What the beginning of a greedy answer tells, see `PreparedItems.decided`."""
        beginning = [*question.answer_ids[:matched], instead]
        if instead in self.tokenizer.end_ids(question.item):
            return self.tokenizer.decode_answer(question.item, beginning, question.prompt)[0]
        text = self.tokenizer.decode_after(question.prompt, beginning)
        text, stopped = stopped_at(text, self.tokenizer.stop_texts(question.item))
        if stopped:
            return text
        if question.canonical_match and question.expected is not None:
            return None if can_become(text, question.expected) else False
        return None

    def _decode_to_the_end(self, questions: Sequence[Question]) -> list[GeneratedAnswer]:
        """Answers to some questions, decoded; once for all questions with the same prompt."""
        by_prompt: dict[tuple[str, EncodedPrompt], list[Question]] = {}
        for question in questions:
            by_prompt.setdefault((question.item.id, question.prompt), []).append(question)
        items = [same[0].item for same in by_prompt.values()]
        limits = [
            max(self._questions.prompt_of(same[0].item)[1], *(len(q.answer_ids) for q in same))
            + SPARE_TOKENS
            for same in by_prompt.values()
        ]
        # Where one answer only is right, nothing is decoded beyond what cannot become it.
        only_answers = [
            same[0].expected if len(same) == 1 and same[0].canonical_match else None
            for same in by_prompt.values()
        ]
        with self.meter.forward(0):
            prompts = [prompt for _, prompt in by_prompt]
            generated = self._decode(items, prompts, limits, only_answers) if items else []
        answers = {
            key: GeneratedAnswer(*self.tokenizer.decode_answer(item, ids[:limit], key[1]))
            for key, item, ids, limit in zip(by_prompt, items, generated, limits, strict=True)
        }
        return [answers[question.item.id, question.prompt] for question in questions]

    def _decode(
        self,
        items: Sequence[Item],
        prompts: Sequence[EncodedPrompt],
        max_tokens: Sequence[int],
        only_answers: Sequence[str | None] | None = None,
    ) -> list[list[int]]:
        requests = [
            DecodingRequest(
                prompt, limit, self.tokenizer.stop_texts(item), only, self.tokenizer.end_ids(item)
            )
            for item, prompt, limit, only in zip(
                items, prompts, max_tokens, only_answers or [None] * len(items), strict=True
            )
        ]
        return self._continue(requests)

    def _continue(
        self, requests: Sequence[DecodingRequest], end_ids: Sequence[int] = ()
    ) -> list[list[int]]:
        limits = self._questions.limits
        with torch.inference_mode():
            generated = decode_greedily(
                self._model,
                self.tokenizer,
                requests,
                context_length=limits.context_length,
                batch_tokens=limits.batch_tokens,
                device=self.device,
                end_ids=end_ids,
            )
        ends = {self.tokenizer.eos_id, *end_ids}
        self.meter.count_tokens(sum(map(partial(tokens_taken, ends=ends), requests, generated)))
        return generated
