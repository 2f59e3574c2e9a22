"""What the fuzz tests change at random: texts, bytes and values of JSON, and what they put there.

Every change is drawn from the generator that is given, so that a case can be repeated.
"""

import json
import os
from random import Random

TEXTS = (
    "",
    " ",
    "-",
    "--",
    "---",
    "-x",
    "--help",
    "--json",
    "--archive",
    ".",
    "..",
    "/",
    "~",
    "~nobody/x",
    "*",
    "[",
    "]",
    "[bold]",
    "[/bold]",
    "[/]",
    "[link=x]a[/link]",
    "[red]x[/blue]",
    "\\[",
    "\\",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "\x1b[31mred",
    "\x00".replace("\x00", "\x01"),
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "\U0001f600",
    "é",
    "e\u0301",
    "漢字",
    "\udc80",
    os.fsdecode(b"\xff\xfe"),
    os.fsdecode(b"caf\xe9"),
    "null",
    "None",
    "true",
    "nan",
    "inf",
    "0",
    "-1",
    "1",
    "#",
    "#0",
    "#-1",
    "#1",
    "##1",
    "1.0",
    "1e3",
    "0x10",
    "٣",
    "²",
    "①",
    "1_000",
    "+1",
    "9" * 10,
    "9" * 19,
    "9" * 40,
    "#" + "9" * 40,
    "9" * 5000,
    "'",
    '"',
    "'; DROP TABLE models; --",
    "%s",
    "%n%n",
    "{}",
    "{0}",
    "{x!r}",
    "$HOME",
    "`id`",
    "a" * 300,
    "a/" * 3000,
    "漢" * 4000,
    "x" * 100_000,
    "(" * 2000,
    "shipped:founders/base",
    "shipped:",
    "plugin:",
    "plugin:x",
    "x.py:",
    "x.py:A",
    "a+b",
    "+",
    "a@b",
    "@",
    "org/name",
    "org/name@main",
    "org/../name",
    "hf://x/y",
    "file:///etc/passwd",
    "http://[",
    "C:\\x",
    "CON",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/proc/self/mem",
    "/proc/self/fd/0",
    "/root/none/none",
)

NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0",
    "+1",
    "1.5",
    "1e3",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "٣",
    "²",
    "1_0",
    " 1",
    "",
    "one",
    "9" * 10,
    "9" * 19,
    "9" * 40,
    "-" + "9" * 40,
    "9" * 5000,
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "1e-320",
    "0.0001",
)


def mutated_text(rng: Random, text: str) -> str:
    """A text with a few characters, words or stretches changed, doubled or gone."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(text))
        end = min(len(text), place + rng.randint(0, 6))
        change = rng.randrange(6)
        if change == 0:
            text = text[:place] + text[end:]
        elif change == 1:
            text = text[:place] + rng.choice(TEXTS)[:200] + text[place:]
        elif change == 2:
            text = text[:end] + text[place:]
        elif change == 3:
            text = text[:place] + rng.choice("()<>=!~:#\"'%&|,.-+ \n") + text[place:]
        elif change == 4:
            text = text[:place] + rng.choice(NUMBERS) + text[end:]
        else:
            words = text.split(" ")
            rng.shuffle(words)
            text = " ".join(words)
    return text


def mutated_bytes(rng: Random, data: bytes) -> bytes:
    """A file with bytes flipped, cut off, put in, doubled or overwritten."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(made) + 1)
        change = rng.randrange(7)
        if change == 0 and made:
            made[place % len(made)] ^= 1 << rng.randrange(8)
        elif change == 1:
            del made[place:]
        elif change == 2:
            made[place:place] = rng.randbytes(rng.randint(1, 40))
        elif change == 3:
            made[place : place + rng.randint(1, 40)] = b""
        elif change == 4:
            made[place:place] = made[place : place + rng.randint(1, 200)]
        elif change == 5:
            made[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xed\xa0\x80")
            )
        else:
            made[place : place + 1] = rng.choice((b"\x00", b"\r", b"\n", b'"', b"{", b"[", b","))
    return bytes(made)


ODD: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    10**9,
    10**30,
    -(10**30),
    0.5,
    -0.5,
    1e308,
    1e-320,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    " ",
    "four",
    "1",
    "[bold]",
    "\udc80",
    "漢字",
    "a\nb",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, 2, 3],
    ["a", "b"],
    {"a": 1},
    [0.5] * 100,
)


NESTS = (("[", "]"), ('{"a": ', "}"))


class Raw(str):
    """What stands in a JSON file as it is."""


def mutated_value(rng: Random, value: object) -> object:
    """A value of JSON with one or a few places changed: another kind, gone, doubled, nested."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _mutated_once(rng, value)
    return value


def _mutated_once(rng: Random, value: object) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        change = rng.random()
        if change < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if change < 0.2:
            renamed = mutated_text(rng, str(key))
            return {(renamed if k == key else k): v for k, v in value.items()}
        if change < 0.28:
            return {**value, rng.choice(TEXTS)[:50]: rng.choice(ODD)}
        return {**value, key: _mutated_once(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        change = rng.random()
        if change < 0.15:
            return value[:place] + value[place + 1 :]
        if change < 0.3:
            return [*value, value[place]]
        return [*value[:place], _mutated_once(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, str) and rng.random() < 0.4:
        return mutated_text(rng, value)
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((0, -value, value + 1, value - 1, value * 1000, 2**31, 2**63, value / 3))
    if rng.random() < 0.05:
        depth, (opens, closes) = rng.choice((3, 40, 3000, 200_000)), rng.choice(NESTS)
        return Raw(opens * depth + dumped(value) + closes * depth)
    return rng.choice(ODD)


def dumped(value: object) -> str:
    """JSON, with what is raw as it is, and what is no JSON as Python writes it (NaN, Infinity)."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(str(k))}: {dumped(v)}" for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value)
