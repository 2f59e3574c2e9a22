"""Reading JSON Lines files of users.

Lines end at line feeds and nowhere else: what Unicode calls a line or paragraph separator may stand
inside a text (RFC 8259 does not ask for it to be escaped). A byte-order mark, a carriage return
before a line feed, blank lines and a last line without an end are all right.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arena.errors import TaskError

Row = dict[str, Any]


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a file with the numbers of their lines, from 1.

    Args:
        path: of a JSON Lines file.

    Raises:
        TaskError: the file cannot be read, or a line holds no object; names file and line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise TaskError(f"{path} is missing; a task needs one JSONL file per split") from None
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror or error}") from None
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, _row(f"{path}:{number}", line)


def _row(where: str, line: bytes) -> Row:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{where}: not UTF-8 at byte {error.start + 1}; save the file as UTF-8"
        ) from None
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise TaskError(f"{where}: nested too deep; an item is one flat object") from None
    except ValueError as error:  # a number with more digits than Python converts
        raise TaskError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise TaskError(f"{where}: expected an object, got {type(row).__name__}")
    return row


def checked_text(where: str, name: str, value: object) -> str:
    """A value of an item that has to be a text which can be written and read again.

    Args:
        where: file and line, for messages.
        name: of the value.
        value: as it was read.

    Returns:
        The value.

    Raises:
        TaskError: it is no text, empty, or holds half of a surrogate pair.
    """
    if not isinstance(value, str) or not value:
        raise TaskError(f"{where}: expected a non-empty text {name!r}, got {_short(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TaskError(
            f"{where}: {name!r} holds half of a surrogate pair "
            f"(\\u{ord(value[error.start]):04x}), which is no character"
        ) from None
    return value


def _short(value: object) -> str:
    try:
        shown = repr(value)
    except RecursionError:
        shown = type(value).__name__
    hint = '; write it in quotes, as "42"' if type(value) in (int, float) else ""
    return (shown if len(shown) <= 60 else f"{shown[:57]}...") + hint
