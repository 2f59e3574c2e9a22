"""The chat template that a founder brings, read from its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population.errors import CheckpointError
from population.models.tokenizer_failures import read_json

LONGEST_TEMPLATE = 1 << 18
"""Characters of a template, at most; the longest in use have about 20,000."""


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template.

    Attributes:
        owner: name of the founder that it is of.
        text: in Jinja, as transformers reads it.
        others: names of founders that have another one.
        without: names of founders that have none.
    """

    owner: str
    text: str
    others: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def told(self) -> str:
        """Whose template it is, and who has no such one, in a sentence."""
        beside = [
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} {what}"
            for names, what in ((self.others, "another"), (self.without, "none"))
            if names
        ]
        return f"chats are asked in the chat template of founder {self.owner}" + (
            f"; {', '.join(beside)}" if beside else ""
        )


def shared_template(folders: Sequence[tuple[str, Path]]) -> ChatTemplate | None:
    """The template that all founders are asked in: of the first that has one; None if none has.

    Args:
        folders: names and folders of the founders, the base first.

    Raises:
        CheckpointError: a template cannot be read.
    """
    own = {name: chat_template_of(folder) for name, folder in folders}
    owner = next((name for name, text in own.items() if text is not None), None)
    if owner is None:
        return None
    text = own[owner] or ""
    return ChatTemplate(
        owner,
        text,
        others=tuple(name for name, other in own.items() if other not in (None, text)),
        without=tuple(name for name, other in own.items() if other is None),
    )


def chat_template_of(folder: Path) -> str | None:
    """The chat template in a model's folder; None if there is none.

    As transformers reads it: `chat_template.jinja`, else `chat_template` of tokenizer_config.json,
    of which that named `default` where there are several.

    Args:
        folder: of the model.

    Raises:
        CheckpointError: a file cannot be read, or the template is no text or giant.
    """
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            template: Any = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None
    else:
        path = folder / "tokenizer_config.json"
        if not path.is_file():
            return None
        template = read_json(path, folder.name).get("chat_template")
        if isinstance(template, list):
            named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
            template = named.get("default")
        if template is None:
            return None
    if not isinstance(template, str):
        raise CheckpointError(f"{path}: its chat template is no text")
    if len(template) > LONGEST_TEMPLATE:
        raise CheckpointError(
            f"{path}: its chat template has {len(template):,} characters; "
            f"{LONGEST_TEMPLATE:,} are read at most"
        )
    return template


def stated_ends(folder: Path) -> tuple[int, ...]:
    """The tokens that end what a model generates, as its generation_config.json says; or none."""
    path = folder / "generation_config.json"
    stated: Any = read_json(path, folder.name).get("eos_token_id") if path.is_file() else None
    tokens = stated if isinstance(stated, list) else [stated]
    return tuple(token for token in tokens if type(token) is int and token >= 0)
