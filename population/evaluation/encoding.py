"""Speech: texts as a model gets and gives them, each in its place.

Tokens have a meaning only where they stand. Llama 2's tokenizer puts a space before every text, and
byte pairs merge across the border of two texts, so an answer that is encoded on its own is not the
answer behind its prompt. Here an answer is what prompt and answer together have beyond the prompt's
own tokens, and what tokens say is what they add to the text of the prompt.
"""

import copy
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

from transformers import AutoTokenizer

from arena.tasks.answers import canonical
from lineage.records import Item
from population.errors import CheckpointError

_ANCHORS = ("=", ":", "\n", ".", ")", "-", "1", "x")
"""Texts behind which an answer is encoded where it merges with the end of its prompt."""

_NEAR = 16
"""Tokens of a prompt that decide how what follows is decoded."""


@dataclass(frozen=True)
class Opened:
    """A prompt as a model gets it, for the answer to follow.

    Attributes:
        text: of the item.
        ids: its tokens, at least one.
        held: white space at its end that its tokens leave to what follows, since the tokenizer
            makes one token of it and the first word there.
        plain: whether control tokens in it are text.
    """

    text: str
    ids: tuple[int, ...]
    held: str = ""
    plain: bool = False


class Speech:
    """A tokenizer, with answers behind their prompts.

    Args:
        path: a founder's folder.
        stops: the text that ends an answer, by task; tasks that are not named end with the
            tokenizer's end-of-sequence token.
    """

    def __init__(self, path: Path, stops: dict[str, str] | None = None) -> None:
        self._stops = stops or {}
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        if self.tokenizer.eos_token_id is None:
            raise CheckpointError(f"{path}: its tokenizer has no end-of-sequence token")
        self.end: int = self.tokenizer.eos_token_id
        control = {str(token) for token in self.tokenizer.all_special_tokens}
        control |= {t.content for t in self.tokenizer.added_tokens_decoder.values() if t.special}
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len)[::-1])) or "$^")
        # Some tokenizers end what they encode; a prompt must stay open.
        alone = self._encode("a", plain=True)
        whole: list[int] = self.tokenizer.encode("a", verbose=False)
        closed = next(
            (
                len(whole) - start - len(alone)
                for start in range(len(whole))
                if alone and whole[start : start + len(alone)] == alone
            ),
            0,
        )
        self._closed = closed
        self._glued = lru_cache(1024)(self._glues)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Speech":
        """Another one with a tokenizer of its own: two threads cannot share one."""
        twin = copy.copy(self)
        twin.tokenizer = copy.deepcopy(self.tokenizer, memo)
        twin._glued = lru_cache(1024)(twin._glues)
        return twin

    def stop(self, item: Item) -> str | None:
        """The text that ends an answer to an item, or None where a token does."""
        return self._stops.get(item.task)

    def opened(self, item: Item) -> Opened:
        """The prompt of an item, as models get it."""
        text = item.prompt
        held = self._held(text)
        ids = self._open(text[: len(text) - len(held)], plain=item.plain)
        if not ids:
            first = self.tokenizer.bos_token_id
            ids = [self.end if first is None else first]
        return Opened(text, tuple(ids), held, item.plain)

    def answer_ids(self, item: Item, answer: str, opened: Opened | None = None) -> list[int]:
        """An answer behind its prompt, and its end. Control tokens that stand in it stay text."""
        stop = self.stop(item)
        ids = self._following(opened or self.opened(item), answer + (stop or ""))
        return ids if stop else [*ids, self.end]

    def text(self, opened: Opened, ids: list[int] | tuple[int, ...]) -> str:
        """What tokens say behind a prompt, without its held white space."""
        near = list(opened.ids[-_NEAR:])
        before = self._decode(near)
        whole = self._decode([*near, *ids])
        if not whole.startswith(before):
            before = before.rstrip("\ufffd")  # a character whose last bytes had not come yet
        said = whole[len(before) :] if whole.startswith(before) else self._decode(list(ids))
        return said.removeprefix(opened.held)

    def said(self, item: Item, ids: list[int], opened: Opened | None = None) -> tuple[str, bool]:
        """The answer that tokens give to an item, without its end, and whether it has one.

        The tokens of the key say the key, whatever the tokenizer makes of them.
        """
        opened = opened or self.opened(item)
        ended = self.end in ids
        if ended:
            ids = ids[: ids.index(self.end)]
        text, stop = self.text(opened, ids), self.stop(item)
        if stop and stop in text:
            text, ended = text.split(stop, maxsplit=1)[0], True
        if item.key is not None and text != item.key:
            key = self._following(opened, item.key + (stop or ""))
            if ids[: len(key)] == key if stop else ended and ids == key:
                return item.key, True
            written = self.text(opened, key)
            if stop and stop in written:
                written = written.split(stop, maxsplit=1)[0]
            lossy = canonical(written) != canonical(item.key)
            if ended and lossy and canonical(text) == canonical(written):
                return item.key, True
        return text, ended

    def lacks(self, item: Item, text: str) -> str | None:
        """The part of a text behind a prompt for which there is no token; None if there is none."""
        unknown = self.tokenizer.unk_token_id
        opened = self.opened(item)
        if unknown is None or unknown not in self._following(opened, text):
            return None
        odd = (c for c in text if unknown in self._encode(c, plain=True))
        return next(odd, text)

    def tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._encode(text, plain=False))

    # How

    def _open(self, text: str, *, plain: bool) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, split_special_tokens=plain, verbose=False)
        return ids[: len(ids) - self._closed]

    def _encode(self, text: str, *, plain: bool) -> list[int]:
        ids: list[int] = self.tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=plain, verbose=False
        )
        return ids

    def _decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _held(self, text: str) -> str:
        """The white space at the end of a prompt that makes one token with what follows."""
        bare = text.rstrip()
        space = text[len(bare) :]
        if not space or not bare:
            return ""
        last = bare[-1]
        for held in range(len(space) + 1):
            cut = len(space) - held
            if not self._glued(last + space[:cut], space[cut:]):
                return space[cut:]
        return space

    def _glues(self, before: str, held: str) -> bool:
        """Whether words that follow change the tokens of what stands before."""
        own = self._encode(before, plain=True)
        return any(
            self._encode(before + held + first, plain=True)[: len(own)] != own
            for first in ascii_letters + digits
        )

    def _following(self, opened: Opened, text: str) -> list[int]:
        """The tokens of a text that stands behind a prompt, the prompt's own left as they are."""
        own, text = list(opened.ids), opened.held + text
        before = opened.text[: len(opened.text) - len(opened.held)]
        if opened.plain or not self._control.search(text):
            whole = self._open(before + text, plain=opened.plain)
            if whole[: len(own)] == own:
                return whole[len(own) :]
        # Control tokens of the prompt are such, those of the answer are text.
        tail = before if opened.plain else self._control.split(before)[-1]
        candidates = [
            whole[len(part) :]
            for anchor in (tail, "", *_ANCHORS)
            for part in (self._encode(anchor, plain=True),)
            for whole in (self._encode(anchor + text, plain=True),)
            if whole[: len(part)] == part and (anchor != tail or own[-len(part) :] == part)
        ]
        wanted = text.removeprefix(opened.held)
        # A tokenizer that cannot join two words says the second one with a space before it.
        for form in (str, canonical):
            for ids in candidates:
                if form(self.text(opened, ids)) == form(wanted):
                    return ids
        return candidates[0] if candidates else self._encode(text, plain=True)
