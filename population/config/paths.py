"""Paths in a configuration: made absolute, with globs expanded; what ships, and where it lies."""

import re
from pathlib import Path

from arena.tasks.gym_reference import GYM
from arena.tasks.loading import PLUGIN, is_file_reference
from population.config.harness_references import YAML, split_metric
from population.config.sections import Config, Founders
from population.errors import ConfigError
from population.references import (
    anchored,
    exists,
    expand_user,
    matching_paths,
    resolves,
    split_adapter,
)

SHIPPED = "shipped:"
"""The prefix of paths to the founders and tasks that ship with the project."""


def resolve_paths(config: Config, folder: Path) -> Config:
    """The same configuration with every path absolute and every glob expanded, in name order.

    Args:
        config: as it was written.
        folder: what relative paths are relative to.

    Raises:
        ConfigError: a path matches nothing.
    """
    founders = _expand_patterns(config.founders.paths, folder, "founders")
    tasks = _expand_patterns(config.tasks.paths, folder, "tasks")
    base = config.founders.base
    if base is None and config.founders.paths == Founders().paths:
        base = "base"
    return config.model_copy(
        update={
            "founders": config.founders.model_copy(update={"paths": founders, "base": base}),
            "tasks": config.tasks.model_copy(
                update={"paths": tasks, "lm_eval": _harness_tasks(config.tasks.lm_eval, folder)}
            ),
        }
    )


def shipped_data() -> Path:
    """The folder of the founders and tasks that ship: beside the code, or inside the wheel."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "data"
    return checkout if (checkout / "founders").is_dir() else package / "shipped_data"


def _expand_patterns(patterns: list[str], folder: Path, section: str) -> list[str]:
    """The paths that patterns match; a path that exists literally is taken literally."""
    found: list[str] = []
    for pattern in patterns:
        matches = _matches(pattern, folder, section)
        if not matches:
            raise ConfigError(_no_match_message(pattern, folder, section))
        found += [match for match in matches if match not in found]
    return found


def _harness_tasks(references: list[str], folder: Path) -> list[str]:
    """References to tasks of lm-evaluation-harness, those to files absolute."""
    found: list[str] = []
    for reference in references:
        path, metric = split_metric(reference)
        if not path.endswith(YAML):
            found.append(reference)
            continue
        files = [file for file in matching_paths(path, folder) if file.is_file()]
        if not files:
            place = folder / expand_user(path, folder)
            raise ConfigError(f"[tasks] lm_eval: {path!r} is no file (looked at {place})")
        found += [f"{file}{metric}" for file in files if f"{file}{metric}" not in found]
    return found


def _matches(pattern: str, folder: Path, section: str) -> list[str]:
    paths = _usable(matching_paths(pattern, folder))
    if paths:
        return paths
    if section == "tasks":
        if pattern.startswith((PLUGIN, GYM)):
            return [pattern]
        if is_file_reference(pattern):
            return [str(folder / expand_user(pattern, folder))]
    if pattern.startswith(SHIPPED):
        return _usable(matching_paths(pattern.removeprefix(SHIPPED), shipped_data()))
    return _adapted(pattern, folder) if section == "founders" else []


def _adapted(pattern: str, folder: Path) -> list[str]:
    """BASE+ADAPTER for every adapter that fits; the last `+` counts at which there is a base."""
    cuts = [(pattern[:at], pattern[at + 1 :]) for at, sign in enumerate(pattern) if sign == "+"]
    for base, adapter in reversed(cuts):
        adapters = _usable(matching_paths(adapter, folder)) if base and adapter else []
        place = anchored(base, folder)
        if adapters and resolves(base, folder):
            return [f"{place}+{match}" for match in adapters]
    return []


def _usable(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths if path.is_dir() or path.suffix == ".gguf"]


def _no_match_message(pattern: str, folder: Path, section: str) -> str:
    """The message about a pattern that matches nothing, with what is expected."""
    prefix = f"[{section}] paths: {pattern!r}"
    expected = (
        "a checkpoint folder, a .gguf file or BASE+ADAPTER"
        if section == "founders"
        else "a folder with a task.toml, FILE.py:NAME, plugin:NAME or reasoning_gym:NAME"
    )
    files = matching_paths(pattern, folder)
    if files:
        return f"{prefix} is a file; expected {expected}"
    if section == "founders" and "+" in pattern:
        base, adapter = split_adapter(pattern, folder) or (pattern, "")
        lacking = adapter if exists(folder / expand_user(base, folder)) else base
        return (
            f"{prefix} fits no folder, and as BASE+ADAPTER it lacks {lacking!r} "
            f"(looked in {folder}); expected {expected}"
        )
    hint = ""
    if section == "founders" and re.fullmatch(r"[\w.-]+/[\w.-]+", pattern):
        hint = (
            f". Founders lie on this machine; if it is a hub id: hf download {pattern} "
            "--local-dir FOLDER"
        )
    place = folder / expand_user(pattern, folder)
    return f"{prefix} fits no folder (looked at {place}); expected {expected}{hint}"
