"""A model at work: it scores, answers and judges. The only file that runs forward passes.

Teacher forcing: for an exact-match key, greedy decoding gives the key if and only if the arg-max
at every key position of ONE forward pass over prompt and key is the key's token. So scoring a
candidate on a whole panel is a few batched passes and no decoding. Batches are made once per panel
and shared by all siblings, which also fixes the arithmetic: the same model on the same panel gets
the same bits whenever it is scored.

A verdict is the task's (`arena.tasks.verdict`), whoever asks. Who says the key says what the task
takes for right, and where only the key is right, who begins in a way that cannot become it is
wrong. Whoever says something else is heard to the end: where a task has an expression or a verifier
of its own, and where what was said may yet become the key in canonical form, as with another white
space before it.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from arena.tasks import Task
from arena.tasks.answers import canonical
from arena.tasks.verdict import extracted, is_literal, may_become, verdict
from lineage.records import Floats, Item
from population.errors import CheckpointError, PopulationError
from population.evaluation.coherence import GeneratedAnswer
from population.evaluation.decoding import Prompt, decoded
from population.evaluation.encoding import Opened, Speech
from population.evaluation.meter import Meter
from population.evaluation.networks import Networks
from population.evaluation.output_head import log_probabilities, logits_at
from population.evaluation.prepared import Batch, Prepared, Question, Row, batched
from population.weights.materialise import State

Integers = np.ndarray[Any, np.dtype[np.int64]]

ROOM = 64
"""Tokens that an answer may take beyond what is known of its length, unless its task says more."""

GOES_ON = "\u2026"
"""Stands for what was cut off an answer that seems right without it."""

SLACK = 8
"""Tokens more that the key may take in other words of the tokenizer, or beside white space."""

REMEMBERED = 1 << 14
"""Items whose prompts an evaluator keeps as tokens."""


class Evaluator:
    """One network that can take the weights of any model of the colony in turn.

    Args:
        path: a founder's folder: its config and tokenizer serve for all.
        device: a torch device, or "auto".
        dtype: arithmetic of the forward passes, or "auto" for the checkpoint's where the device
            is good at it.
        stored: the dtype of the checkpoints' weights.
        batch_tokens: tokens in one forward pass at most; None chooses by device.
        stops: the text that ends an answer, by task; tasks that are not named end with the
            tokenizer's end-of-sequence token.
        tasks: by name, what says which answers are right; where a task is not named, the key is.
        speech: the tokenizer, if it is open already; `stops` are its own then.
    """

    def __init__(
        self,
        path: Path,
        *,
        stored: torch.dtype,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        stops: dict[str, str] | None = None,
        tasks: Mapping[str, Task] | None = None,
        speech: Speech | None = None,
    ) -> None:
        self.device = chosen_device(device)
        self.dtype = chosen_dtype(dtype, stored, self.device)
        self.meter = Meter()
        # On a CPU what a layer computes should stay in cache; an accelerator wants full batches.
        self._batch_tokens = batch_tokens or (2048 if self.device.type == "cpu" else 32768)
        self._tasks = tasks or {}
        self._rooms: dict[Item, tuple[Opened, int]] = {}
        try:
            config = AutoConfig.from_pretrained(path, trust_remote_code=False)
            self._speech = speech or Speech(path, stops)
            self._networks = Networks(config, self.dtype, self.device)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{path}: transformers cannot use it: {reason}") from None
        self._longest = context_of(config)
        self._vocabulary = getattr(config.get_text_config(), "vocab_size", None) or 1

    @property
    def _model(self) -> Any:
        """The network that has become the model taken last."""
        return self._networks.working

    @property
    def bytes(self) -> int:
        """Memory that the network's weights take."""
        return sum(p.numel() * p.element_size() for p in self._model.parameters())

    def clone(self) -> "Evaluator":
        """Another evaluator that can work beside this one; they share nothing but the meter."""
        twin = copy.copy(self)
        twin._networks = copy.deepcopy(self._networks)
        twin._speech = copy.deepcopy(self._speech)
        twin._rooms = {}
        return twin

    def warm_up(self) -> None:
        """Make one forward pass, uncounted, so that everything that starts lazily has started."""
        with torch.inference_mode():
            self._model(torch.zeros((1, 4), dtype=torch.long, device=self.device), use_cache=False)

    def take(self, state: State) -> None:
        """Become the model with these weights, of whatever depth.

        Raises:
            CheckpointError: the names of the weights do not fit the architecture.
        """
        self._networks.take(state)

    def prepare(self, questions: Sequence[tuple[Item, str]]) -> Prepared:
        """Tokenise and batch (item, answer) pairs, once for all models that will read them.

        Who is scored on them is right where it gives the answer, in the form that its task sees.

        Raises:
            PopulationError: a sequence is longer than the model's context.
        """
        return self._prepared([self._question(item, answer) for item, answer in questions])

    def prepare_texts(self, items: Sequence[Item]) -> Prepared:
        """Tokenise and batch items as running text, from prompt to end, for `surprise`.

        Raises:
            PopulationError: a text is longer than the model's context.
        """
        texts = []
        for item in items:
            opened = self._speech.opened(item)
            key = "" if item.key is None else item.key
            texts.append([*opened.ids, *self._speech.answer_ids(item, key, opened)])
        rows = [Row(number, text[:1], text[1:]) for number, text in enumerate(texts)]
        self._check_length(rows, items)
        return Prepared(len(rows), self._batched(rows))

    def prepare_keys(self, items: Sequence[Item]) -> Prepared:
        """Tokenise and batch items with what makes an answer right, for `score`.

        Raises:
            PopulationError: an item has no key, and its task has no other way to tell.
        """
        return self._prepared([self._keyed(item) for item in items])

    def score(self, prepared: Prepared) -> tuple[Floats, Floats]:
        """How right what a model says under greedy decoding is, and the probability of the answer.

        The probability is of the answer as it is written; where a model was heard to the end, it is
        the verdict if that is more.

        Returns:
            Two arrays of shape (items,). A model whose logits are not finite scores 0.
        """
        worth, probability = self._heard(prepared)
        if prepared.marks is None:
            return worth, probability
        return prepared.marks @ worth, prepared.marks @ probability

    def tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return self._speech.tokens(text)

    def loglikelihood(self, questions: Sequence[tuple[Item, str]]) -> list[float]:
        """The log-probability, in nats, of each answer including its end.

        What does not fit into a model's context it cannot say: minus infinity.
        """
        told = np.full(len(questions), -np.inf)
        asked = [self._question(*pair) for pair in questions]
        fits = [n for n, q in enumerate(asked) if len(q.opened.ids) + len(q.ids) <= self._longest]
        told[fits] = self._read(self._prepared([asked[number] for number in fits]))[1]
        return [float(value) for value in told]

    def surprise(self, prepared: Prepared) -> float:
        """Mean negative log-likelihood per token of some texts, in nats; infinite if broken.

        Args:
            prepared: texts from `prepare_texts`, at least one; or anything else that was prepared,
                of which the answers are read.
        """
        tokens = sum(int(batch.wanted.sum()) for batch in prepared.batches)
        return -float(self._read(prepared)[1].sum()) / tokens

    def generate(self, items: Sequence[Item]) -> list[str]:
        """One answer per item, decoded greedily, without its end.

        An answer that is longer than the longest key is cut there: it is wrong whatever follows.
        Where something else than the key may be right, it is cut where its task says.
        """
        return [
            # Who says the key and goes on has not said the key.
            f"{answer.text}{GOES_ON}" if self._seems_right(item, answer) else answer.text
            for item, answer in zip(items, self.answer_freely(items, beyond=1), strict=True)
        ]

    def _seems_right(self, item: Item, answer: GeneratedAnswer) -> bool:
        return (
            not answer.ended
            and item.key is not None
            and self._literal(item)
            and canonical(answer.text) == canonical(item.key)
        )

    def answer_freely(self, items: Sequence[Item], beyond: int = 32) -> list[GeneratedAnswer]:
        """One answer per item, decoded greedily, and whether it ended by itself.

        Args:
            items: what to answer, all together.
            beyond: an answer is cut when it is this many tokens longer than the longest key.
        """
        if not items:
            return []
        known = [self._asked(item) for item in items]
        opened, rooms = [prompt for prompt, _ in known], [room for _, room in known]
        literal = [item.key is not None and self._literal(item) for item in items]
        # Wrong answers to such items are kept as long as they always were.
        most = max((room for room, short in zip(rooms, literal, strict=True) if short), default=0)
        limits = [
            beyond + (most if short else room) for room, short in zip(rooms, literal, strict=True)
        ]
        with self.meter.forward(len(items)):
            said = self._decoded(items, opened, limits)
        return [
            GeneratedAnswer(*self._speech.said(item, ids[: max(0, limit)], prompt))
            for item, ids, prompt, limit in zip(items, said, opened, limits, strict=True)
        ]

    # What is asked

    def _literal(self, item: Item) -> bool:
        return item.task not in self._tasks or is_literal(self._tasks[item.task])

    def _extracted(self, item: Item, text: str) -> str:
        task = self._tasks.get(item.task)
        return canonical(text) if task is None else extracted(task, item, text)

    def _question(self, item: Item, answer: str) -> Question:
        """Whether a model gives an answer that somebody gave, in the form that its task sees."""
        opened, literal = self._speech.opened(item), self._literal(item)
        ids = tuple(self._speech.answer_ids(item, answer, opened))
        target = canonical(answer) if literal else answer
        return Question(item, opened, answer, ids, target, alike=literal)

    def _keyed(self, item: Item) -> Question:
        """Whether a model is right, as the task sees it."""
        if self._literal(item):
            if item.key is None:
                raise PopulationError(
                    f"item {item.id} has no key to score models by; "
                    'with [search] merit = "jury" the colony judges itself'
                )
            return self._question(item, item.key)
        opened = self._speech.opened(item)
        ids = () if item.key is None else self._speech.answer_ids(item, item.key, opened)
        return Question(item, opened, item.key, tuple(ids), None, alike=False)

    def _asked(self, item: Item) -> tuple[Opened, int]:
        """The prompt of an item as models get it, and tokens that an answer may take."""
        if item not in self._rooms:
            if len(self._rooms) >= REMEMBERED:
                self._rooms.clear()
            opened = self._speech.opened(item)
            self._rooms[item] = opened, self._room(item, opened)
        return self._rooms[item]

    def _room(self, item: Item, opened: Opened) -> int:
        known = 0
        if item.key is not None:
            known = len(self._speech.answer_ids(item, item.key, opened))
            spaced = f" {item.key}"
            if not item.key[:1].isspace() and self._speech.lacks(item, spaced) is None:
                known = max(known, len(self._speech.answer_ids(item, spaced, opened)))
            if self._literal(item):
                return known
        own = getattr(self._tasks.get(item.task), "longest", None)
        return ROOM + known if own is None else int(own)

    # Reading

    def _prepared(self, questions: Sequence[Question]) -> Prepared:
        rows = [Row(number, q.opened.ids, q.ids) for number, q in enumerate(questions)]
        self._check_length(rows, [question.item for question in questions])
        read = self._batched([row for row in rows if row.following])
        return Prepared(len(rows), read, tuple(questions))

    def _batched(self, rows: Sequence[Row]) -> tuple[Batch, ...]:
        return batched(rows, self._batch_tokens, self._vocabulary, self.device)

    def _check_length(self, rows: Sequence[Row], items: Sequence[Item]) -> None:
        for row in rows:
            if len(row) > self._longest:
                raise PopulationError(
                    f"item {items[row.number].id} takes {len(row)} tokens, "
                    f"the models read {self._longest}"
                )

    def _read(self, prepared: Prepared) -> tuple[Floats, Floats, Integers, Integers]:
        """Which answers a model gives, and how likely it finds them.

        Returns:
            Arrays of shape (questions,): 1 where greedy decoding gives the answer; its
            log-probability, minus infinity where it is not finite; how many of its tokens are
            said; the first token that is said instead.
        """
        hit = np.zeros(prepared.size)
        log_likelihood = np.full(prepared.size, -np.inf)
        matched, instead = np.zeros((2, prepared.size), dtype=np.int64)
        with self.meter.forward(prepared.size), torch.inference_mode():
            for batch in prepared.batches:
                logits = logits_at(self._model, batch.tokens, batch.places)
                guess, targets = batch.targets.clone(), batch.targets[batch.wanted]
                guess[batch.wanted] = logits.argmax(dim=-1)
                logs = torch.zeros_like(batch.targets, dtype=torch.float32)
                logs[batch.wanted] = log_probabilities(logits, targets)
                total = torch.nan_to_num(logs.sum(dim=1), nan=-torch.inf)
                wrong = guess != batch.targets
                exact = ~wrong.any(dim=1) & torch.isfinite(total)
                first = wrong.int().argmax(dim=1)
                before = batch.wanted.int().argmax(dim=1)
                hit[batch.rows] = exact.double().cpu().numpy()
                log_likelihood[batch.rows] = total.double().cpu().numpy()
                matched[batch.rows] = (first - before).cpu().numpy()
                instead[batch.rows] = guess.gather(1, first[:, None])[:, 0].cpu().numpy()
        return hit, log_likelihood, matched, instead

    # Hearing what was said

    def _heard(self, prepared: Prepared) -> tuple[Floats, Floats]:
        """How right what a model says is, and the probability of the answers, as `score` says."""
        hit, log_likelihood, matched, instead = self._read(prepared)
        worth, probability = hit.copy(), np.exp(log_likelihood)
        unheard = []
        for number, question in enumerate(prepared.questions):
            if question.ids and not np.isfinite(log_likelihood[number]):
                continue
            said: str | bool | None = None
            if hit[number]:
                if question.alike:
                    continue
                said = question.answer
            elif question.ids:
                begun = number, int(matched[number]), int(instead[number])
                if begun not in prepared.seen:
                    prepared.seen[begun] = self._begun(question, *begun[1:])
                said = prepared.seen[begun]
            if isinstance(said, str):
                worth[number] = self._worth(question, said)
                probability[number] = max(probability[number], worth[number])
            elif said is None:
                unheard.append(number)
        for number, text in zip(
            unheard, self._finished([prepared.questions[n] for n in unheard]), strict=True
        ):
            # Only the key and its end are the key; elsewhere the task says what it makes of it.
            if not text.ended and prepared.questions[number].alike:
                continue
            worth[number] = self._worth(prepared.questions[number], text.text)
            probability[number] = max(probability[number], worth[number])
        return worth, probability

    def _begun(self, question: Question, matched: int, instead: int) -> str | bool | None:
        """What a beginning tells: the whole answer, that it is wrong (False), or nothing (None)."""
        said = list(question.ids[:matched])
        stop = self._speech.stop(question.item)
        if instead == self._speech.end:
            return self._speech.said(question.item, [*said, instead], question.opened)[0]
        text = self._speech.text(question.opened, [*said, instead])
        if stop and stop in text:
            return text.split(stop, maxsplit=1)[0]
        if question.alike and question.literal is not None:
            return None if may_become(text, question.literal) else False
        return None

    def _finished(self, questions: Sequence[Question]) -> list[GeneratedAnswer]:
        """What a model says to some questions, decoded; once for all that ask the same."""
        asked: dict[tuple[str, Opened], list[Question]] = {}
        for question in questions:
            asked.setdefault((question.item.id, question.opened), []).append(question)
        items = [own[0].item for own in asked.values()]
        limits = [
            max(self._asked(own[0].item)[1], *(len(q.ids) for q in own)) + SLACK
            for own in asked.values()
        ]
        # Who can be right with one answer only need not be heard beyond what cannot become it.
        wanted = [
            own[0].literal if len(own) == 1 and own[0].alike else None for own in asked.values()
        ]
        with self.meter.forward(0):
            opened = [prompt for _, prompt in asked]
            said = self._decoded(items, opened, limits, wanted) if items else []
        texts = {
            key: GeneratedAnswer(*self._speech.said(item, ids[:limit], key[1]))
            for key, item, ids, limit in zip(asked, items, said, limits, strict=True)
        }
        return [texts[question.item.id, question.opened] for question in questions]

    def _worth(self, question: Question, text: str) -> float:
        """The verdict on what was said."""
        if question.literal is None:
            worth = verdict(self._tasks[question.item.task], question.item, text)
            if worth is None:
                raise PopulationError(
                    f"item {question.item.id} has no key to score models by, and verify() of its "
                    'task cannot tell; with [search] merit = "jury" the colony judges itself'
                )
            return worth
        return float(self._extracted(question.item, text) == question.literal)

    def _decoded(
        self,
        items: Sequence[Item],
        opened: Sequence[Opened],
        limits: Sequence[int],
        wanted: Sequence[str | None] | None = None,
    ) -> list[list[int]]:
        prompts = [
            Prompt(prompt, limit, self._speech.stop(item), only)
            for item, prompt, limit, only in zip(
                items, opened, limits, wanted or [None] * len(items), strict=True
            )
        ]
        with torch.inference_mode():
            return decoded(
                self._model,
                self._speech,
                prompts,
                longest=self._longest,
                tokens=self._batch_tokens,
                device=self.device,
            )


def context_of(config: Any) -> int:
    """Tokens that a model reads at most, as its config says."""
    known = getattr(config.get_text_config(), "max_position_embeddings", None)
    return known if known is not None and known > 0 else 1 << 30


def chosen_device(name: str) -> torch.device:
    """The device that a name means; "auto" is the first accelerator, or the CPU.

    Raises:
        PopulationError: there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise PopulationError(f"device {name!r} cannot be used: {reason}") from None
    return device


def chosen_dtype(name: str, stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of forward passes; "auto" is the stored one unless the CPU would crawl in it."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
            name
        ]
    if device.type == "cpu" and stored != torch.float32:
        native = stored == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return stored if native else torch.float32
    return stored
