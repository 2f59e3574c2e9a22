"""A model at work: it scores, answers and judges. The only file that runs forward passes.

Teacher forcing: for an exact-match key, greedy decoding gives the key if and only if the arg-max
at every key position of ONE forward pass over prompt and key is the key's token. So scoring a
candidate on a whole panel is a few batched passes and no decoding. Batches are made once per panel
and shared by all siblings, which also fixes the arithmetic: the same model on the same panel gets
the same bits whenever it is scored.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer

from lineage.records import Floats, Item
from population.coherence import Answered
from population.errors import CheckpointError, PopulationError
from population.materialise import State
from population.meter import Meter
from population.networks import Networks

UNKNOWN = 64
"""Tokens that the answer to an item without a key may take."""


@dataclass(frozen=True)
class Batch:
    """Sequences of similar length, padded on the right (causal attention never looks there).

    Attributes:
        rows: index of each sequence in the panel.
        tokens: shape (sequences, length).
        targets: shape (sequences, tail): the tokens to predict at the last `tail` positions.
        wanted: shape (sequences, tail): which of them count.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    tokens: torch.Tensor
    targets: torch.Tensor
    wanted: torch.Tensor


@dataclass(frozen=True)
class Prepared:
    """Questions with given answers, tokenised and batched: what a forward pass needs.

    Attributes:
        size: how many questions.
        batches: all of them.
        marks: shape (items, questions): what giving the answer of a question is worth on an item;
            None where every question is an item, and its answer the key.
    """

    size: int
    batches: tuple[Batch, ...]
    marks: Floats | None = None


class Player:
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
    ) -> None:
        self.device = chosen_device(device)
        self.dtype = chosen_dtype(dtype, stored, self.device)
        self.meter = Meter()
        # On a CPU what a layer computes should stay in cache; an accelerator wants full batches.
        self._batch_tokens = batch_tokens or (2048 if self.device.type == "cpu" else 32768)
        self._stops = stops or {}
        try:
            config = AutoConfig.from_pretrained(path, trust_remote_code=False)
            self._tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            self._networks = Networks(config, self.dtype, self.device)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{path}: transformers cannot use it: {reason}") from None
        self._longest = getattr(config, "max_position_embeddings", None) or 1 << 30
        if self._tokenizer.eos_token_id is None:
            raise CheckpointError(f"{path}: its tokenizer has no end-of-sequence token")

    @property
    def _model(self) -> Any:
        """The network that has become the model taken last."""
        return self._networks.working

    @property
    def bytes(self) -> int:
        """Memory that the network's weights take."""
        return sum(p.numel() * p.element_size() for p in self._model.parameters())

    def clone(self) -> "Player":
        """Another player that can work beside this one; they share nothing but the meter."""
        twin = copy.copy(self)
        twin._networks = copy.deepcopy(self._networks)
        twin._tokenizer = copy.deepcopy(self._tokenizer)
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

        Raises:
            PopulationError: a sequence is longer than the model's context.
        """
        rows = [
            (number, self._prompt_ids(item), self._answer_ids(item, answer))
            for number, (item, answer) in enumerate(questions)
        ]
        return self._batched(rows, [item for item, _ in questions])

    def prepare_texts(self, items: Sequence[Item]) -> Prepared:
        """Tokenise and batch items as running text, from prompt to end, for `surprise`.

        Raises:
            PopulationError: a text is longer than the model's context.
        """
        texts = [self._prompt_ids(item) + self._answer_ids(item, item.key or "") for item in items]
        rows = [(number, text[:1], text[1:]) for number, text in enumerate(texts)]
        return self._batched(rows, items)

    def prepare_keys(self, items: Sequence[Item]) -> Prepared:
        """Tokenise and batch items with their keys, for `score`.

        Raises:
            PopulationError: an item has no key.
        """
        keyless = [item.id for item in items if item.key is None]
        if keyless:
            raise PopulationError(
                f"item {keyless[0]} has no key to score models by; "
                'with [search] merit = "jury" the colony judges itself'
            )
        return self.prepare([(item, item.key or "") for item in items])

    def score(self, prepared: Prepared) -> tuple[Floats, Floats]:
        """Exact match under greedy decoding, and the probability of the answer.

        Returns:
            Two arrays of shape (items,). A model whose logits are not finite scores 0.
        """
        hit, log_likelihood = self._read(prepared)
        probability = np.exp(log_likelihood)
        if prepared.marks is None:
            return hit, probability
        return prepared.marks @ hit, prepared.marks @ probability

    def tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._tokenizer.encode(text, add_special_tokens=False, verbose=False))

    def loglikelihood(self, questions: Sequence[tuple[Item, str]]) -> list[float]:
        """The log-probability, in nats, of each answer including its end.

        What does not fit into a model's context it cannot say: minus infinity.
        """
        sayable = [number for number, pair in enumerate(questions) if self._fits(*pair)]
        told = np.full(len(questions), -np.inf)
        told[sayable] = self._read(self.prepare([questions[number] for number in sayable]))[1]
        return [float(value) for value in told]

    def _fits(self, item: Item, answer: str) -> bool:
        length = len(self._prompt_ids(item)) + len(self._answer_ids(item, answer))
        return length <= self._longest

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
        """
        return [answer.text for answer in self.answer_freely(items, beyond=1)]

    def answer_freely(self, items: Sequence[Item], beyond: int = 32) -> list[Answered]:
        """One answer per item, decoded greedily, and whether it ended by itself.

        Args:
            items: what to answer, all together.
            beyond: an answer is cut when it is this many tokens longer than the longest key.
        """
        if not items:
            return []
        limit = beyond + max(
            UNKNOWN if item.key is None else len(self._answer_ids(item, item.key)) for item in items
        )
        prompts = [self._prompt_ids(item) for item in items]
        width = max(len(prompt) for prompt in prompts)
        fill = self._tokenizer.eos_token_id
        tokens = torch.tensor([[fill] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with self.meter.forward(len(items)), torch.inference_mode():
            out = self._model.generate(
                tokens.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=min(limit, max(1, self._longest - width)),
                do_sample=False,
                pad_token_id=fill,
                eos_token_id=fill,
            ).cpu()
        return [
            self._decoded(item, row[width:].tolist()) for item, row in zip(items, out, strict=True)
        ]

    def _decoded(self, item: Item, tokens: list[int]) -> Answered:
        end = self._tokenizer.eos_token_id
        ended = end in tokens
        if ended:
            tokens = tokens[: tokens.index(end)]
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        stop = self._stops.get(item.task)
        if stop and stop in text:
            return Answered(text.split(stop, maxsplit=1)[0], ended=True)
        return Answered(text, ended)

    def _prompt_ids(self, item: Item) -> list[int]:
        ids: list[int] = self._tokenizer.encode(
            item.prompt, split_special_tokens=item.plain, verbose=False
        )
        # Some tokenizers end what they encode; a prompt must stay open.
        return ids[:-1] if len(ids) > 1 and ids[-1] == self._tokenizer.eos_token_id else ids

    def _answer_ids(self, item: Item, answer: str) -> list[int]:
        """An answer and its end. Control tokens that stand in an answer stay plain text."""
        stop = self._stops.get(item.task)
        ids: list[int] = self._tokenizer.encode(
            answer + (stop or ""),
            add_special_tokens=False,
            split_special_tokens=True,
            verbose=False,
        )
        return ids if stop else [*ids, self._tokenizer.eos_token_id]

    def _batched(
        self, rows: list[tuple[int, list[int], list[int]]], items: Sequence[Item]
    ) -> Prepared:
        """Batches of similar length, of (number in `items`, what is given, what is to follow)."""
        for number, prompt, answer in rows:
            if len(prompt) + len(answer) > self._longest:
                raise PopulationError(
                    f"item {items[number].id} takes {len(prompt) + len(answer)} tokens, "
                    f"the models read {self._longest}"
                )
        rows.sort(key=lambda row: (len(row[1]) + len(row[2]), row[0]))
        batches: list[Batch] = []
        start = 0
        while start < len(rows):
            stop = start + 1
            while (
                stop < len(rows)
                and (stop + 1 - start) * (len(rows[stop][1]) + len(rows[stop][2]))
                <= self._batch_tokens
            ):
                stop += 1
            batches.append(self._batch(rows[start:stop]))
            start = stop
        return Prepared(len(rows), tuple(batches))

    def _batch(self, rows: Sequence[tuple[int, list[int], list[int]]]) -> Batch:
        length = max(len(prompt) + len(answer) for _, prompt, answer in rows)
        # Logits are needed from the position before the earliest answer.
        tail = length - min(len(prompt) for _, prompt, _ in rows) + 1
        tokens = torch.zeros((len(rows), length), dtype=torch.long)
        targets = torch.zeros((len(rows), tail), dtype=torch.long)
        wanted = torch.zeros((len(rows), tail), dtype=torch.bool)
        for row, (_, prompt, answer) in enumerate(rows):
            sequence = prompt + answer
            tokens[row, : len(sequence)] = torch.tensor(sequence)
            first = len(prompt) - 1 - (length - tail)
            targets[row, first : first + len(answer)] = torch.tensor(answer)
            wanted[row, first : first + len(answer)] = True
        return Batch(
            rows=np.array([number for number, _, _ in rows]),
            tokens=tokens.to(self.device),
            targets=targets.to(self.device),
            wanted=wanted.to(self.device),
        )

    def _read(self, prepared: Prepared) -> tuple[Floats, Floats]:
        hit = np.zeros(prepared.size)
        log_likelihood = np.full(prepared.size, -np.inf)
        with self.meter.forward(prepared.size), torch.inference_mode():
            for batch in prepared.batches:
                logits = self._model(
                    batch.tokens, use_cache=False, logits_to_keep=batch.targets.shape[1]
                ).logits
                right = (logits.argmax(dim=-1) == batch.targets) | ~batch.wanted
                logs = logits.float().log_softmax(dim=-1)
                logs = logs.gather(-1, batch.targets[..., None])[..., 0]
                total = torch.where(batch.wanted, logs, 0.0).sum(dim=1)
                total = torch.nan_to_num(total, nan=-torch.inf)
                exact = right.all(dim=1) & torch.isfinite(total)
                hit[batch.rows] = exact.double().cpu().numpy()
                log_likelihood[batch.rows] = total.double().cpu().numpy()
        return hit, log_likelihood


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
