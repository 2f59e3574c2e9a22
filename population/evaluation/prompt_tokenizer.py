"""Encodes prompts and answers as tokens, and decodes what a model generates after a prompt.

Tokens have a meaning only where they stand. Llama 2's tokenizer puts a space before every text, and
byte pairs merge across the border of two texts, so an answer that is encoded on its own is not the
answer after its prompt. Here the tokens of an answer are those that prompt and answer together have
beyond the prompt's own, and the text of generated tokens is what they add to the prompt's text.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

from transformers import AutoTokenizer

from arena.errors import TaskError
from arena.tasks.answers import canonical
from lineage.records import IMAGE_MARK, Item, Message
from population.errors import CheckpointError
from population.evaluation.chat.renderer import ChatRenderer
from population.evaluation.images import ImageInputs, ImageReader, inputs_of
from population.models.chat_templates import ChatTemplate, shared_template, stated_ends

_ANCHORS = ("=", ":", "\n", ".", ")", "-", "1", "x")
"""Texts after which an answer is encoded where it merges with the end of its prompt."""

_PRIVATE = range(0xE000, 0xF900)
"""Characters without a meaning, of which one marks where something stood in a text."""

_DECODING_CONTEXT = 16
"""Last tokens of a prompt that influence how the tokens after it are decoded."""


Stops = Mapping[str, str | tuple[str, ...]]
"""By task, the text that ends an answer, or several."""


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as a model gets it, with the answer to follow.

    Attributes:
        text: of the item.
        ids: its tokens, at least one.
        trailing_space: white space at the end of the text that is not in `ids`, since the tokenizer
            makes one token of it and the first word of the answer.
        plain: whether control tokens in the text are encoded as text.
        rendered: whether a chat template made the text, with all control tokens that a model needs.
        images: hashes of what it shows.
        shown: what the network gets of them.
        begins: tokens up to the last image, which no text begins before.
    """

    text: str
    ids: tuple[int, ...]
    trailing_space: str = ""
    plain: bool = False
    rendered: bool = False
    images: tuple[str, ...] = ()
    shown: ImageInputs | None = field(default=None, compare=False, repr=False)
    begins: int = 1


def stopped_at(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    r"""A text up to the first of some stop texts, and whether one was there.

    >>> stopped_at("red. The next", (".", "\n"))
    ('red', True)
    """
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _with_marks(chat: Sequence[Message], images: int) -> tuple[Message, ...]:
    """A chat with a mark for each image; without any they come before what the user says first."""
    if sum(turn.content.count(IMAGE_MARK) for turn in chat) == images:
        return tuple(chat)
    bare = [Message(turn.role, turn.content.replace(IMAGE_MARK, "")) for turn in chat]
    first = next(place for place, turn in enumerate(bare) if turn.role == "user")
    bare[first] = Message("user", IMAGE_MARK * images + bare[first].content)
    return tuple(bare)


class PromptTokenizer:
    """A tokenizer that encodes and decodes answers in the context of their prompts.

    Args:
        path: a founder's folder.
        stops: the texts that end an answer, by task; tasks that are not named end with the
            tokenizer's end-of-sequence token, chats with the one that ends a turn.
        template: that chats are asked in; None for the founder's own, if it has one.

    Raises:
        CheckpointError: the tokenizer has no end-of-sequence token, or a file of the founder is
            broken.
    """

    def __init__(
        self,
        path: Path,
        stops: Stops | None = None,
        template: ChatTemplate | None = None,
    ) -> None:
        self._stops = {
            task: (texts,) if isinstance(texts, str) else texts
            for task, texts in (stops or {}).items()
        }
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        if self.tokenizer.eos_token_id is None:
            raise CheckpointError(f"{path}: its tokenizer has no end-of-sequence token")
        self.eos_id: int = self.tokenizer.eos_token_id
        control = {str(token) for token in self.tokenizer.all_special_tokens}
        control |= {t.content for t in self.tokenizer.added_tokens_decoder.values() if t.special}
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len)[::-1])) or "$^")
        # Some tokenizers append tokens to what they encode; a prompt must stay open.
        bare = self._encode("a", plain=True)
        full: list[int] = self.tokenizer.encode("a", verbose=False)
        self._appended = next(
            (
                len(full) - start - len(bare)
                for start in range(len(full))
                if bare and full[start : start + len(bare)] == bare
            ),
            0,
        )
        self._merges_cached = lru_cache(1024)(self._merges)
        template = template or shared_template([(path.name, path)])
        self._renderer = (
            ChatRenderer(template.text, self.tokenizer.special_tokens_map, template.owner)
            if template
            else None
        )
        self._stated_ends = stated_ends(path)
        self._images = ImageReader(path)

    def __deepcopy__(self, memo: dict[int, Any]) -> "PromptTokenizer":
        """Another one with a tokenizer of its own: two threads cannot share one."""
        twin = copy.copy(self)
        twin.tokenizer = copy.deepcopy(self.tokenizer, memo)
        twin._merges_cached = lru_cache(1024)(twin._merges)
        return twin

    def stop_texts(self, item: Item) -> tuple[str, ...]:
        """The texts of which each ends an answer to an item; the first is what its key ends with.

        None where only a token ends it.
        """
        return self._stops.get(item.task, ())

    def end_ids(self, item: Item) -> tuple[int, ...]:
        """The tokens that end an answer to an item; the first is what its key ends with."""
        if not item.messages:
            return (self.eos_id,)
        return tuple(dict.fromkeys((self._turn_end, self.eos_id, *self._stated_ends)))

    def encode_prompt(self, item: Item) -> EncodedPrompt:
        """The prompt of an item, as models get it.

        Raises:
            TaskError: it is a chat, and there is no chat template, or it fails on this one; or it
                shows an image that cannot be read, or founders that see none.
        """
        if item.images:
            return self._encode_shown(item)
        if item.messages:
            return self._encode_chat(item.messages)
        text = item.prompt
        trailing_space = self._trailing_space(text)
        ids = self._encode_open(text[: len(text) - len(trailing_space)], plain=item.plain)
        if not ids:
            bos_id = self.tokenizer.bos_token_id
            ids = [self.eos_id if bos_id is None else bos_id]
        return EncodedPrompt(text, tuple(ids), trailing_space, item.plain)

    def encode_answer(
        self, item: Item, answer: str, prompt: EncodedPrompt | None = None
    ) -> list[int]:
        """The tokens of an answer after its prompt, with those that end it.

        Args:
            item: that is answered.
            answer: its text. Control tokens in it are encoded as text.
            prompt: of the item, where it is encoded already.
        """
        stop = "".join(self.stop_texts(item)[:1])
        ids = self._continuation(prompt or self.encode_prompt(item), answer + stop)
        return ids if stop else [*ids, self.end_ids(item)[0]]

    def encode_choice(self, choice: str, prompt: EncodedPrompt) -> list[int]:
        """The tokens of a choice after a prompt, without an end: what it is compared by."""
        return self._continuation(prompt, choice)

    def decode_after(self, prompt: EncodedPrompt, ids: list[int] | tuple[int, ...]) -> str:
        """The text that tokens add to a prompt, without the prompt's trailing space."""
        context = list(prompt.ids[-_DECODING_CONTEXT:])
        before = self._decode(context)
        text = self._decode([*context, *ids])
        if not text.startswith(before):
            before = before.rstrip("\ufffd")  # a character whose last bytes had not come yet
        added = text[len(before) :] if text.startswith(before) else self._decode(list(ids))
        return added.removeprefix(prompt.trailing_space)

    def decode_answer(
        self, item: Item, ids: list[int], prompt: EncodedPrompt | None = None
    ) -> tuple[str, bool]:
        """The answer that generated tokens give, without its end.

        The tokens of the key are decoded as the key, whatever the tokenizer makes of them.

        Args:
            item: that is answered.
            ids: tokens generated after its prompt.
            prompt: of the item, where it is encoded already.

        Returns:
            The text, and whether the tokens end it.
        """
        prompt = prompt or self.encode_prompt(item)
        ends = self.end_ids(item)
        end = next((place for place, token in enumerate(ids) if token in ends), None)
        ended, ids = end is not None, ids[:end]
        stops = self.stop_texts(item)
        text, stopped = stopped_at(self.decode_after(prompt, ids), stops)
        ended = ended or stopped
        if text in item.accepted:
            return text, ended
        for key in item.accepted:
            key_ids = self._continuation(prompt, key + "".join(stops[:1]))
            if ids[: len(key_ids)] == key_ids if stops else ended and ids == key_ids:
                return key, True
            decoded_key, _ = stopped_at(self.decode_after(prompt, key_ids), stops)
            lossy = canonical(decoded_key) != canonical(key)
            if ended and lossy and canonical(text) == canonical(decoded_key):
                return key, True
        return text, ended

    def unencodable_part(self, item: Item, text: str) -> str | None:
        """The part of a text after a prompt for which there is no token; None if there is none."""
        unknown = self.tokenizer.unk_token_id
        prompt = self.encode_prompt(item)
        if unknown is None or unknown not in self._continuation(prompt, text):
            return None
        characters = (c for c in text if unknown in self._encode(c, plain=True))
        return next(characters, text)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text takes."""
        return len(self._encode(text, plain=False))

    # How

    def _encode_chat(self, chat: Sequence[Message]) -> EncodedPrompt:
        """A chat in its template. Control tokens are the template's, what is said is text."""
        if self._renderer is None:
            raise TaskError(
                "it is a chat, and no founder has a chat template; put the chat_template.jinja of "
                "the model that they were made from into a founder's folder, or write 'prompt'"
            )
        text = self._renderer.rendered(chat)
        said = "".join(turn.content for turn in chat)
        if not self._control.search(said):
            return EncodedPrompt(text, tuple(self._encode(text, plain=False)), rendered=True)
        mark = next(c for c in map(chr, _PRIVATE) if c not in said and c not in text)
        found: list[str] = []

        def marked(match: re.Match[str]) -> str:
            found.append(match.group())
            return f"{mark}{len(found) - 1}{mark}"

        masked = [Message(t.role, self._control.sub(marked, t.content)) for t in chat]
        parts = re.split(f"{mark}([0-9]+){mark}", self._renderer.rendered(masked))
        ids = [
            token
            for place, part in enumerate(parts)
            for token in (
                self._encode(found[int(part)], plain=True)
                if place % 2
                else self._encode(part, plain=False)
            )
        ]
        return EncodedPrompt(text, tuple(ids), rendered=True)

    def _encode_shown(self, item: Item) -> EncodedPrompt:
        """A prompt or a chat with images: they take the places of its marks, or come first."""
        mark = self._images.mark
        if item.messages:
            if self._renderer is None:
                raise TaskError("it is a chat, and no founder has a chat template")
            turns = _with_marks(item.messages, len(item.images))
            text = self._renderer.rendered(turns, images=True)
            if text.count(mark) != len(item.images):  # a template that knows no images
                text = self._renderer.rendered(turns).replace(IMAGE_MARK, mark)
            texts, plain = text.split(mark), False
        else:
            texts, plain = item.prompt.split(IMAGE_MARK), item.plain
            if len(texts) != len(item.images) + 1:
                between = [""] * len(item.images)
                texts = [*between, "\n" + "".join(texts)]
        if len(texts) != len(item.images) + 1:
            raise TaskError(
                f"it shows {len(item.images)} images, and the chat template has room for "
                f"{len(texts) - 1}"
            )
        text = mark.join(texts)
        trailing_space = "" if item.messages else self._trailing_space(text)
        texts[-1] = texts[-1][: len(texts[-1]) - len(trailing_space)]
        opened = bool(item.messages)
        parts = [
            self._encode_open(texts[0], plain=plain, rendered=opened),
            *(self._encode(text, plain=plain) for text in texts[1:]),
        ]
        images = [self._images.read(image) for image in item.images]
        mixed = [part for pair in zip(parts, images, strict=False) for part in pair] + [parts[-1]]
        ids, shown = inputs_of(mixed)
        return EncodedPrompt(
            text,
            tuple(ids),
            trailing_space,
            plain,
            rendered=opened,
            images=tuple(image.sha256 for image in item.images),
            shown=shown,
            begins=len(ids) - len(parts[-1]),
        )

    @cached_property
    def _turn_end(self) -> int:
        """The control token that ends an assistant's turn in the chat template."""
        mark = chr(_PRIVATE[0])
        turns = (Message("user", "a"), Message("assistant", mark))
        try:
            text = self._renderer.rendered(turns, open_end=False) if self._renderer else ""
        except TaskError:  # it has no assistants; what it says of a chat is told for that chat
            return self.eos_id
        found = self._control.search(text.rpartition(mark)[2])
        return self.tokenizer.convert_tokens_to_ids(found.group()) if found else self.eos_id

    def _encode_open(self, text: str, *, plain: bool, rendered: bool = False) -> list[int]:
        """The tokens of a text, without those that the tokenizer appends."""
        if rendered:
            return self._encode(text, plain=plain)
        ids: list[int] = self.tokenizer.encode(text, split_special_tokens=plain, verbose=False)
        return ids[: len(ids) - self._appended]

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

    def _trailing_space(self, text: str) -> str:
        """The white space at the end of a prompt that makes one token with the text after it."""
        bare = text.rstrip()
        space = text[len(bare) :]
        if not space or not bare:
            return ""
        last = bare[-1]
        for length in range(len(space) + 1):
            cut = len(space) - length
            if not self._merges_cached(last + space[:cut], space[cut:]):
                return space[cut:]
        return space

    def _merges(self, before: str, space: str) -> bool:
        """Whether words after some white space change the tokens of the text before it."""
        own = self._encode(before, plain=True)
        return any(
            self._encode(before + space + first, plain=True)[: len(own)] != own
            for first in ascii_letters + digits
        )

    def _continuation(self, prompt: EncodedPrompt, text: str) -> list[int]:
        """The tokens of a text after a prompt; the prompt's own are left as they are."""
        own, text = list(prompt.ids), prompt.trailing_space + text
        before = prompt.text[: len(prompt.text) - len(prompt.trailing_space)]
        if prompt.plain or not self._control.search(text):
            both = self._encode_open(before + text, plain=prompt.plain, rendered=prompt.rendered)
            if both[: len(own)] == own:
                return both[len(own) :]
        # Control tokens of the prompt are such, those of the answer are text.
        tail = before if prompt.plain else self._control.split(before)[-1]
        candidates = [
            both[len(part) :]
            for anchor in (tail, "", *_ANCHORS)
            for part in (self._encode(anchor, plain=True),)
            for both in (self._encode(anchor + text, plain=True),)
            if both[: len(part)] == part and (anchor != tail or own[-len(part) :] == part)
        ]
        expected = text.removeprefix(prompt.trailing_space)
        # A tokenizer that cannot join two words decodes the second one with a space before it.
        for form in (str, canonical):
            for ids in candidates:
                if form(self.decode_after(prompt, ids)) == form(expected):
                    return ids
        return candidates[0] if candidates else self._encode(text, plain=True)
