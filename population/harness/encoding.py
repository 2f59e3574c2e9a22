"""How the harness makes tokens of texts: pairs, windows of long texts, prompts and their stops.

Exactly as its own model of transformers (`lm_eval.models.huggingface.HFLM`), so that results can be
compared item by item. Campaigns encode their own items otherwise, see
`population.evaluation.prompt_tokenizer`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import GenerationConfig

from population.errors import PopulationError
from population.evaluation.evaluator import Evaluator
from population.evaluation.greedy_decoding import DecodingRequest
from population.evaluation.prompt_tokenizer import EncodedPrompt

MAX_GEN_TOKS = 256
"""Tokens that an answer may take where its task does not say."""

UNKNOWN_LENGTH = 2048
"""Tokens that a model reads whose config does not say, as in the harness."""

GREEDY = {"do_sample": False, "temperature": 0.0}
"""Settings of generation that mean greedy decoding."""

_WITHOUT_MEANING = {"top_p", "top_k", "min_p", "typical_p", "use_cache", "pad_token_id"}

Pair = tuple[list[int], list[int]]
"""The tokens of a context, at least one, and of its continuation."""


@dataclass(frozen=True)
class Encoding:
    """Makes tokens of the harness's requests, and text of the answers.

    Attributes:
        tokenizer: of transformers.
        eos_id: the token that ends a text.
        max_length: tokens that the model reads.
        max_gen_toks: tokens of an answer where its task does not say.
        add_bos: whether texts begin with the first token of a sequence; None as the tokenizer says.
        prefix: the token before a text that has no context; None for the first of a sequence or,
            where there is none, the last.
    """

    tokenizer: Any
    eos_id: int
    max_length: int
    max_gen_toks: int = MAX_GEN_TOKS
    add_bos: bool | None = None
    prefix: int | None = None

    @cached_property
    def prefix_id(self) -> int:
        """The token before a text that has no context."""
        first = self.tokenizer.bos_token_id if self.prefix is None else self.prefix
        return self.eos_id if first is None else int(first)

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer, as the model's generation settings say."""
        try:
            ids = GenerationConfig.from_pretrained(self.tokenizer.name_or_path).eos_token_id
        except (OSError, ValueError, TypeError):  # most models have no such settings
            return ()
        return tuple(ids) if isinstance(ids, list | tuple) else () if ids is None else (int(ids),)

    def tokens(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """The tokens of a text, with the first and the last of a sequence if wanted.

        Args:
            text: to encode.
            add_special_tokens: by default as the tokenizer does, but never a second first token.
        """
        special = self.add_bos if add_special_tokens is None else add_special_tokens
        if add_special_tokens is None and has_bos_prefix(
            text, self.tokenizer.decode(self.prefix_id)
        ):
            special = False
        given = {} if special is None else {"add_special_tokens": special}
        ids: list[int] = self.tokenizer.encode(text, verbose=False, **given)
        return ids

    def pair(self, context: str, continuation: str) -> Pair:
        """The tokens of a context and its continuation.

        White space at the end of the context belongs to the continuation.
        """
        if not context:
            ids = self.tokens(continuation, add_special_tokens=False)
            return ([self.prefix_id], ids) if ids[:1] != [self.prefix_id] else (ids[:1], ids[1:])
        bare = context.rstrip()
        own = self.tokens(bare)
        return own, self.tokens(bare + context[len(bare) :] + continuation)[len(own) :]

    def fitted(self, pair: Pair) -> Pair:
        """A pair that the model can read: a context that is too long loses its beginning.

        Raises:
            PopulationError: the continuation alone is longer than the model's context.
        """
        context, continuation = pair
        if len(continuation) > self.max_length:
            raise PopulationError(
                f"a continuation takes {len(continuation)} tokens, the model reads "
                f"{self.max_length}"
            )
        return context[-(self.max_length + 1 - len(continuation)) :], continuation

    def windows(self, text: str) -> Iterator[Pair]:
        """A text in windows that the model can read; every token is predicted once."""
        for window in get_rolling_token_windows(
            token_list=self.tokens(text),
            prefix_token=self.prefix_id,
            max_seq_len=self.max_length,
            context_len=1,
        ):
            yield make_disjoint_window(window)

    def request(self, context: str, settings: Mapping[str, Any]) -> DecodingRequest:
        """What to decode, and when to stop.

        Args:
            context: of the answer; one that is too long loses its beginning.
            settings: the task's `generation_kwargs`.

        Raises:
            PopulationError: they want more than greedy decoding, or an answer has no room.
        """
        normal = dict(normalize_gen_kwargs(dict(settings), self.max_gen_toks))
        end = self.tokenizer.decode(self.eos_id, skip_special_tokens=False)
        stops = tuple(filter(None, handle_stop_sequences(normal.pop("until"), eos=end)))
        tokens = int(normal.pop("max_gen_toks"))
        for name, value in normal.items():
            if name not in _WITHOUT_MEANING and value != GREEDY.get(name):
                raise PopulationError(
                    f"{name} = {value!r}: models answer greedily here; leave it out, or set "
                    "do_sample: false (--gen_kwargs do_sample=False)"
                )
        if tokens >= self.max_length:
            raise PopulationError(
                f"an answer may take {tokens} tokens, the model reads {self.max_length}; "
                "lower max_gen_toks (--gen_kwargs max_gen_toks=N)"
            )
        ids = self.tokens(context)[-(self.max_length - tokens) :] or [self.prefix_id]
        return DecodingRequest(EncodedPrompt(context, tuple(ids)), tokens, stops)

    def answer(self, ids: list[int], request: DecodingRequest) -> str:
        """The text of generated tokens, up to the first stop."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        said: str = postprocess_generated_text(text, list(request.stops), None)
        return said


def encoding_of(evaluator: Evaluator) -> Encoding:
    """The harness's way with the tokenizer and context length of an evaluator."""
    length, tokenizer = evaluator.context_length, evaluator.tokenizer
    known = length if length < 1 << 30 else UNKNOWN_LENGTH
    return Encoding(tokenizer.tokenizer, tokenizer.eos_id, known)
