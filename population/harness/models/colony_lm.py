"""A model of the harness that answers with a model of an archive, or any checkpoint.

    lm_eval --model colony --model_args archive=my.duckdb,model=champion --tasks ...

Texts become tokens, windows and stops exactly as in the harness's own model of transformers
(`HFLM`), so that results can be compared item by item; the forward passes are those of campaigns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from population.evaluation.batching import TokenSequence
from population.evaluation.greedy_decoding import DecodingRequest
from population.harness.encoding import MAX_GEN_TOKS, Pair, encoding_of
from population.harness.models.loading import load_model

ROUND = 16
"""Full batches from one report of progress to the next."""


@register_model("colony")
class ColonyLM(TemplateLM):  # type: ignore[misc]
    """A model of an archive in the harness.

    Args:
        archive: path of an archive; without one, `model` is a checkpoint.
        model: an id, a founder's name, `champion` or the start of a hash; or a folder,
            BASE+ADAPTER or a GGUF file.
        device: a torch device, or "auto". The harness asks for its own default, `cuda:0`, unless it
            is told otherwise; where there is none, that means "auto".
        dtype: arithmetic of forward passes, or "auto".
        batch_tokens: tokens in one forward pass at most; None chooses by device.
        batch_size: taken for the harness's sake: batches are bounded by their tokens.
        max_batch_size: as `batch_size`.
        max_length: tokens that the model reads; by default as its config says.
        max_gen_toks: tokens of an answer where its task does not say.
        add_bos_token: whether prompts begin with that token; by default as the tokenizer says.
        prefix_token_id: the token before a text that has no context; by default the first or, where
            there is none, the end of a sequence.

    Raises:
        ArchiveError: there is no such archive, or no such model in it.
        CheckpointError: a founder or the checkpoint cannot be used.
        PopulationError: there is no such device.
    """

    def __init__(
        self,
        model: str | int = "champion",
        archive: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        max_length: int | None = None,
        max_gen_toks: int = MAX_GEN_TOKS,
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
    ) -> None:
        super().__init__()
        loaded = load_model(
            str(model),
            None if archive is None else Path(archive),
            device=_usable(device),
            dtype=dtype,
            batch_tokens=batch_tokens,
            say=tqdm.write,
        )
        self.label, self._evaluator = loaded.label, loaded.evaluator
        self.tokenizer = self._evaluator.tokenizer.tokenizer
        usual = encoding_of(self._evaluator)
        self._encoding = replace(
            usual,
            max_length=max_length or usual.max_length,
            max_gen_toks=max_gen_toks,
            add_bos=add_bos_token,
            prefix=prefix_token_id,
        )

    # What the harness asks of every model

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self._encoding.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The token before a text that has no context."""
        return self._encoding.prefix_id

    @property
    def tokenizer_name(self) -> str:
        """Of the tokenizer, for caches of requests."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes beside results."""
        return {"model_label": self.label, "model_dtype": str(self._evaluator.dtype)}

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as the model's own template writes it."""
        text: str = self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """The tokens of a text, with the first and the last of a sequence if wanted.

        Args:
            string: the text.
            add_special_tokens: by default as the tokenizer does, but never a second first token.
            kwargs: not used.
        """
        return self._encoding.tokens(string, add_special_tokens)

    # Reading

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        return self._encoding.pair(context, continuation)

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str] | None, list[int], list[int]]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        """For each continuation its log-likelihood in nats, and whether decoding would give it.

        Args:
            requests: the texts of a context and its continuation, if they are to be cached, and
                the tokens of both. A context that is too long loses its beginning.
            disable_tqdm: whether progress is not shown.
            kwargs: not used.

        Raises:
            PopulationError: a continuation is longer than the model's context.
        """
        sequences = [
            TokenSequence(number, *self._encoding.fitted((context, continuation)))
            for number, (_, context, continuation) in enumerate(requests)
        ]
        results = [(0.0, False)] * len(requests)
        with tqdm(
            total=len(requests), disable=disable_tqdm, desc="Running loglikelihood requests"
        ) as bar:
            for part in self._rounds(sequences):
                renumbered = [
                    TokenSequence(place, one.context, one.continuation)
                    for place, one in enumerate(part)
                ]
                read = self._evaluator.read_tokens(renumbered)
                for place, one in enumerate(part):
                    result = float(read.log_likelihood[place]), bool(read.exact[place])
                    results[one.number] = result
                    if (texts := requests[one.number][0]) is not None:
                        self.cache_hook.add_partial("loglikelihood", texts, result)
                bar.update(len(part))
        return results

    def _rounds(self, sequences: Sequence[TokenSequence]) -> Iterator[list[TokenSequence]]:
        """Sequences of similar length together, the longest first, so that time left is right."""
        part: list[TokenSequence] = []
        tokens = 0
        for sequence in sorted(sequences, key=len, reverse=True):
            part.append(sequence)
            tokens += len(sequence)
            if tokens > ROUND * self._evaluator.batch_tokens:
                yield part
                part, tokens = [], 0
        if part:
            yield part

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihood in nats of each text, every token of it predicted once.

        Args:
            requests: the texts; one that is too long is read in windows that do not overlap more
                than they have to.
            disable_tqdm: whether progress is not shown.
        """
        windows: list[tuple[None, list[int], list[int]]] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            (text,) = request.args
            for window in self._encoding.windows(text):
                windows.append((None, *window))
                owners.append(number)
        totals = [0.0] * len(requests)
        read = self._loglikelihood_tokens(windows, disable_tqdm)
        for owner, (log_likelihood, _) in zip(owners, read, strict=True):
            totals[owner] += log_likelihood
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    # Generating

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the model says after each context, up to the first stop.

        Args:
            requests: contexts, and when to stop.
            disable_tqdm: whether progress is not shown.

        Raises:
            PopulationError: a request wants more than greedy decoding.
        """
        asked = [self._encoding.request(*request.args) for request in requests]
        answers = [""] * len(requests)
        order = sorted(range(len(asked)), key=lambda number: -_width(asked[number]))
        with tqdm(
            total=len(requests), disable=disable_tqdm, desc="Running generate_until requests"
        ) as bar:
            while order:
                batch = self._next_batch(order, asked)
                generated = self._evaluator.continue_tokens(
                    [asked[number] for number in batch], self._encoding.end_ids
                )
                for number, ids in zip(batch, generated, strict=True):
                    answers[number] = self._encoding.answer(ids, asked[number])
                    self.cache_hook.add_partial(
                        "generate_until", requests[number].args, answers[number]
                    )
                bar.update(len(batch))
        return answers

    def _next_batch(self, order: list[int], asked: Sequence[DecodingRequest]) -> list[int]:
        """Take the longest requests that fill a batch, all with room for equally long answers."""
        first = asked[order[0]]
        count = max(1, self._evaluator.batch_tokens // _width(first))
        alike = [n for n in order if asked[n].max_tokens == first.max_tokens][:count]
        chosen = set(alike)
        order[:] = [number for number in order if number not in chosen]
        return alike


def _width(request: DecodingRequest) -> int:
    return len(request.prompt.ids) + request.max_tokens


def _usable(device: str) -> str:
    return "auto" if device == "cuda:0" and not torch.cuda.is_available() else device
