"""The model card (README.md) of a merge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from population.merging.recipe import Recipe

UNRESOLVED = "other"


@dataclass(frozen=True)
class CardFacts:
    """Facts for the model card that the recipe does not hold.

    Attributes:
        title: the model's name.
        description: where it comes from, a sentence or two.
        lineage: its ancestors, drawn as text.
        scores: by split, the score of each task.
    """

    title: str
    description: str = ""
    lineage: str = ""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def licence_of(folder: Path) -> str | None:
    """The licence that a model's own card states; None if it states none."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8-sig")
        _, front, _ = text.split("---\n", 2)
        content = yaml.safe_load(front)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    licence = content.get("license") if isinstance(content, dict) else None
    if isinstance(licence, list):
        licence = ", ".join(str(one) for one in licence) or None
    return licence if isinstance(licence, str) else None


def origin_of(path: str, config: Mapping[str, Any]) -> str:
    """The hub id of a source if it is known, else the path that was given.

    Args:
        path: as the recipe has it.
        config: the source's config; a folder that is named like the model in its `_name_or_path`
            counts as that model.
    """
    return "+".join(_origin(part, config) for part in path.split("+"))


def _origin(path: str, config: Mapping[str, Any]) -> str:
    if cached := _CACHED.search(path):
        return f"{cached[1]}/{cached[2]}"
    stated = config.get("_name_or_path")
    if isinstance(stated, str) and _HUB_ID.fullmatch(stated):
        owner, _, name = stated.partition("/")
        if owner and name.lower() == Path(path).name.lower():
            return stated
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(home + "/") else path


_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CACHED = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/")


def render_card(
    recipe: Recipe,
    facts: CardFacts,
    licences: Mapping[str, str | None],
    sha256: str,
    base: str | None,
    origins: Mapping[str, str] | None = None,
) -> str:
    """The text of the model card, in Markdown with YAML front matter.

    Args:
        recipe: what was merged.
        facts: what else is known.
        licences: of the sources, by name; None where a card states none.
        sha256: of the weights.
        base: the name of the base among the sources, if there is one.
        origins: of the sources, by name, where that is not simply their path.
    """
    origin = {name: source.path for name, source in recipe.sources.items()} | dict(origins or {})
    front: dict[str, Any] = {
        "library_name": "transformers",
        "tags": ["merge", "model-colony"],
        "base_model": [origin[name] for name in _ordered(recipe, base)],
        "base_model_relation": "merge",
    }
    stated = {licence for licence in licences.values() if licence}
    if (
        len(stated) == 1
        and None not in licences.values()
        and not any("," in licence for licence in stated)
    ):
        front["license"] = stated.pop()
    elif stated:
        front["license"] = UNRESOLVED
    rows = "\n".join(
        f"| {_cell(name)} | {_cell(origin[name])} | {_cell(licences.get(name) or 'not stated')} |"
        for name in _ordered(recipe, base)
    )
    parts = [
        f"---\n{_yaml(front)}---\n\n# {facts.title}\n",
        facts.description,
        f"Merged by [model-colony](https://pypi.org/project/model-colony/): {_methods(recipe)}. "
        "`recipe.json` beside this file says everything; `colony merge recipe.json OUT` makes "
        "these weights again, bit by bit.",
        f"| source | where from | licence |\n|---|---|---|\n{rows}",
    ]
    if len(stated) > 1:
        parts.append(
            f"**The sources have different licences ({', '.join(sorted(stated))}). Whoever "
            "publishes this model has to satisfy all of them.**"
        )
    if facts.scores:
        parts.append(_table(facts.scores))
    if facts.lineage:
        parts.append(f"## Lineage\n\n```\n{facts.lineage.rstrip()}\n```")
    parts.append(f"SHA-256 of the weights: `{sha256}`\n")
    return "\n\n".join(part for part in parts if part)


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    return text


def _ordered(recipe: Recipe, base: str | None) -> Sequence[str]:
    return sorted(recipe.sources, key=lambda name: name != base)


def _cell(text: str) -> str:
    """Text in a cell of a table: nothing in a name ends the cell, or is HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _methods(recipe: Recipe) -> str:
    if len(recipe.steps) > 3:
        return f"{len(recipe.steps)} steps, the last of them {recipe.steps[-1].method}"
    return ", then ".join(step.method for step in recipe.steps)


def _table(scores: Mapping[str, Mapping[str, float]]) -> str:
    tasks = sorted({task for of_split in scores.values() for task in of_split})
    head = "| task | " + " | ".join(scores) + " |\n|---|" + "---|" * len(scores)
    rows = [
        f"| {task} | "
        + " | ".join(f"{s[task]:.3f}" if task in s else "" for s in scores.values())
        + " |"
        for task in tasks
    ]
    return "## Scores\n\n" + "\n".join([head, *rows])
