"""Chats: items whose prompt is a list of messages, which models get in their chat template."""

from collections.abc import Sequence

from arena.errors import TaskError
from arena.tasks.lines import checked_text
from lineage.records import Message

ROLES = ("system", "user", "assistant")
"""Who speaks in a chat."""


def chat_of(where: str, value: object) -> tuple[Message, ...]:
    """The messages of a line of a split.

    Args:
        where: file and line, for messages.
        value: as it was read: a list of objects with `role` and `content`.

    Raises:
        TaskError: it is no chat that ends with what a user says.
    """
    if not isinstance(value, list) or not value:
        raise TaskError(
            f"{where}: expected 'messages' to be a list of objects with role and content, "
            f"got {value!r:.60}"
        )
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
            raise TaskError(
                f"{where}: message {number} must have a role and a content and nothing else, "
                f"got {turn!r:.60}"
            )
        if turn["role"] not in ROLES:
            raise TaskError(
                f"{where}: message {number} has role {turn['role']!r:.40}; there are "
                f"{', '.join(ROLES)}"
            )
        content = checked_text(where, f"content of message {number}", turn["content"])
        turns.append(Message(turn["role"], content))
    if wrong := fault_of(turns):
        raise TaskError(f"{where}: {wrong}")
    return tuple(turns)


def fault_of(chat: Sequence[Message]) -> str | None:
    """What is wrong with the order of the turns of a chat; None if nothing is."""
    if any(turn.role == "system" for turn in chat[1:]):
        return "a system message stands first or nowhere"
    if chat[-1].role != "user":
        return "the last message must be the user's, which models answer"
    return None


def transcript(chat: Sequence[Message]) -> str:
    r"""A chat as people and judges read it: what one user says, or who said what.

    >>> transcript([Message("user", "Capital of France?")])
    'Capital of France?'
    >>> transcript([Message("system", "Be brief."), Message("user", "Capital of France?")])
    'system: Be brief.\nuser: Capital of France?'
    """
    if len(chat) == 1:
        return chat[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in chat)
