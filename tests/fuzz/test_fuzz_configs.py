"""Configurations that are changed anywhere: refused in one line, or a campaign that runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from population.config import load_config, template
from population.errors import ConfigError
from tests.fuzz_yard import Yard, calls, toml, yard
from tests.fuzzing import Calls, ascii_only, cases, told, wrong_with
from tests.mutations import Raw, dumped, mutated_bytes, mutated_text, mutated_value

__all__ = ["calls", "yard"]

TOML_VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e400",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "9" * 5000,
    "1979-05-27",
    "07:32:00",
    "''",
    "'''x\ny'''",
    '"\\ud800"',
    "[[1], [2]]",
    "{a = {b = 1}}",
    "true",
    "[]",
    "{}",
    "[1, 'a']",
    "-1",
    "0",
    "1.5",
    '"[bold]"',
    '"auto"',
    "[nan, inf]",
    "[1, -1]",
    "1_0",
    "+5",
    "0.0",
    "-0.0",
    "1e-320",
    "1000000000",
    "[" * 900 + "]" * 900,
    "{x=" * 300,
)


def mutated_config(rng: Random, yard: Yard, *, small: bool) -> bytes:
    """A configuration, changed as values, as lines, as text or as bytes.

    Args:
        rng: draws what is changed.
        yard: where models and tasks lie.
        small: it is that of a campaign of a second; otherwise it may be any.
    """
    change = rng.randrange(5)
    if change == 0:
        return toml_of(mutated_value(rng, yard.config())).encode("utf-8", "surrogatepass")
    text = toml(yard.config()) if small or rng.random() < 0.6 else template("x.toml")
    lines = text.splitlines()
    if change == 1:
        settings = [place for place, line in enumerate(lines) if " = " in line]
        for place in rng.sample(settings, rng.randint(1, 2)):
            key = lines[place].split(" = ")[0]
            lines[place] = f"{key} = {rng.choice(TOML_VALUES)}"
    elif change == 2:
        for _ in range(rng.randint(1, 3)):
            place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines.insert(place, lines[other])
            if rng.random() < 0.5:
                lines.pop(rng.randrange(len(lines)))
    elif change == 3:
        return mutated_text(rng, text).encode("utf-8", "surrogatepass")
    else:
        return mutated_bytes(rng, text.encode())
    end = rng.choice(("\n", "\n", "\r\n", "\r", "\u2028"))
    start = rng.choice(("", "", "\ufeff"))
    return (start + end.join(lines)).encode("utf-8", "surrogatepass")


def toml_of(value: object) -> str:
    """What once was a configuration as something like TOML."""
    if not isinstance(value, dict):
        return dumped(value)
    lines: list[str] = []
    for section, settings in value.items():
        if not isinstance(settings, dict):
            lines.insert(0, f"{section} = {_inline(settings)}")
            continue
        lines.append(f"[{section}]")
        lines += [f"{key} = {_inline(setting)}" for key, setting in settings.items()]
    return "\n".join(lines) + "\n"


def _inline(value: object) -> str:
    if isinstance(value, Raw):
        return str(value).replace('{"a": ', "{a = ")
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_inline(part)}' for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return dumped(value).replace("NaN", "nan").replace("Infinity", "inf")


def test_reading_a_changed_configuration(yard: Yard, tmp_path: Path) -> None:
    path, refused = tmp_path / "my.toml", 0
    for rng in cases("configs", 300):
        content = mutated_config(rng, yard, small=False)
        path.write_bytes(content)
        try:
            load_config(path)
        except ConfigError as error:
            refused += 1
            assert "\n" not in str(error).strip(), (content, error)
            assert len(str(error)) < 3000, (content, error)
        except Exception as error:
            raise AssertionError(ascii_only(repr(content))) from error
    assert refused > 50


def config_case(rng: Random, yard: Yard, calls: Calls, folder: Path) -> str | None:
    """Start a campaign with a changed configuration; what is wrong with that."""
    folder.mkdir()
    content = mutated_config(rng, yard, small=True)
    (folder / "my.toml").write_bytes(content)
    ran = calls(
        "run",
        "my.toml",
        "-a",
        "a.duckdb",
        "--budget",
        "30",
        "--generations",
        "1",
        "--headless",
        *rng.choice(((), ("--no-report",))),
        folder=folder,
    )
    wrong = wrong_with(ran)
    if wrong is None and ran.code == 0:
        shown = calls("models", "--all", "--json", "-a", "a.duckdb", folder=folder)
        wrong = wrong_with(shown) or (f"models says {shown.code}" if shown.code else None)
    shutil.rmtree(folder)
    return wrong and told(ran, wrong, ascii_only(repr(content))[:3000])


def test_a_campaign_with_a_changed_configuration(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("campaigns", 3)):
        assert config_case(rng, yard, calls, tmp_path / str(number)) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/null"),
        lambda path: path.write_bytes(b"\xef\xbb\xbf[run]\r\nseed = 1\r\n"),
        lambda path: path.write_bytes(b"\xff\xfe[\0r\0"),
        lambda path: path.write_text("a = " + "[" * 100_000),
        lambda path: path.write_text("[a]\n" * 2),
        lambda path: path.write_text("a." * 5000 + "a = 1"),
        lambda path: path.write_text("a = " + "9" * 5000),
    ],
)
def test_what_is_no_configuration(
    make: Callable[[Path], None], calls: Calls, tmp_path: Path
) -> None:
    """The shipped founders would be bred where nothing is said, so the limits are given."""
    folder = tmp_path / "here"
    folder.mkdir()
    make(folder / "my.toml")
    try:
        load_config(folder / "my.toml")
    except ConfigError as error:
        assert "\n" not in str(error)
        ran = calls("run", "my.toml", "--headless", folder=folder)
        assert (wrong_with(ran), ran.code) == (None, 1), told(ran, "not refused")
        assert not (folder / "colony.duckdb").exists()
