"""Records of items: what models are asked."""

import json
from dataclasses import dataclass
from typing import Any

IMAGE_MARK = "<image>"
"""Where in a prompt or a chat an image stands."""


@dataclass(frozen=True)
class Message:
    """A turn of a chat.

    Attributes:
        role: `system`, `user` or `assistant`.
        content: what is said.
    """

    role: str
    content: str


@dataclass(frozen=True)
class ImageFile:
    """An image that an item shows.

    Attributes:
        path: where it lies.
        sha256: of the file's bytes: another file of that path is another image.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Item:
    """An item: a prompt or a chat, with or without a key.

    Attributes:
        id: unique in an archive.
        task: name of its task.
        split: `search`, `selection` or `test`.
        prompt: what models are asked; of a chat, what people and judges read of it.
        key: the right answer, or None where only judges can tell.
        statement: a text with one {} in which judges read the answers, or None.
        plain: whether the prompt holds answers of models, so that control tokens in it are text.
        messages: of a chat, which models get in the form of their chat template; they are asked
            `prompt` where there are none.
        keys: other answers that are as right as the key.
        choices: answers of which the model picks one, by likelihood, the key among them; where
            there are none it answers freely.
        images: what is shown, in the order of the `IMAGE_MARK`s in the prompt or the chat, or
            before it where there are none.
    """

    id: str
    task: str
    split: str
    prompt: str
    key: str | None
    statement: str | None = None
    plain: bool = False
    messages: tuple[Message, ...] = ()
    keys: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    images: tuple[ImageFile, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """All right answers; none where only judges can tell."""
        return () if self.key is None else (self.key, *self.keys)

    @property
    def details(self) -> str | None:
        """What an archive keeps of an item beside its prompt, key and statement, as JSON.

        None where there is nothing: then the item is what its texts say.
        """
        kept: dict[str, Any] = {}
        if self.messages:
            kept["messages"] = [[turn.role, turn.content] for turn in self.messages]
        for name, texts in (("keys", self.keys), ("choices", self.choices)):
            if texts:
                kept[name] = list(texts)
        if self.images:
            kept["images"] = [[image.path, image.sha256] for image in self.images]
        return json.dumps(kept, ensure_ascii=False) if kept else None


def images_in(details: str | None) -> tuple[ImageFile, ...]:
    """The images of an item, by what an archive keeps of it; see `Item.details`."""
    kept: dict[str, Any] = json.loads(details) if details else {}
    return tuple(ImageFile(*image) for image in kept.get("images", ()))


def stored_item(
    identity: str,
    task: str,
    split: str,
    prompt: str,
    key: str | None,
    statement: str | None,
    details: str | None,
) -> Item:
    """An item as an archive has it: one value for each column of the table `items`."""
    kept: dict[str, Any] = json.loads(details) if details else {}
    return Item(
        identity,
        task,
        split,
        prompt,
        key,
        statement,
        messages=tuple(Message(*turn) for turn in kept.get("messages", ())),
        keys=tuple(kept.get("keys", ())),
        choices=tuple(kept.get("choices", ())),
        images=images_in(details),
    )
