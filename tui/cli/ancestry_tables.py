"""What the commands that ask ancestry print: tables for people and plain values for scripts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.text import Text

from tui.cli.lineage_tables import fate, plain_table, safe

if TYPE_CHECKING:
    from lineage.ancestry.relations import Relation
    from lineage.drawing import Family
    from lineage.glyphs import Glyphs
    from lineage.queries.line_survival import LineSurvival
    from lineage.records import Floats, Model

CURVE = 24
"""Width of the curve of a founder's share, in cells."""


def line_survival_json(survival: "LineSurvival") -> dict[str, Any]:
    """The dictionary that `colony ancestry --json` prints."""
    models = survival.models
    return {
        "diversity": vars(survival.diversity),
        "fruitful": [
            {
                "id": one.model,
                "model": one.model,
                "part": one.share,
                "children": one.children,
                "descendants": one.descendants,
                "living": one.living,
                "label": models[one.model].label,
                "alive": models[one.model].living,
            }
            for one in survival.main_contributors
        ],
        "founders": [
            {
                "id": line.founder,
                "founder": line.founder,
                "label": models[line.founder].label,
                "state": line.state,
                "share": _number(line.shares[-1]),
                "shares": [_number(share) for share in line.shares],
                "carriers": line.carriers,
                "last": _deaths_json(models, line.last),
            }
            for line in survival.founders
        ],
        "lost": [
            {
                "head": line.head,
                "descendants": line.descendants,
                "ended": line.ended,
                "last": _deaths_json(models, line.last),
            }
            for line in survival.lost
        ],
        "causes": [vars(cause) for cause in survival.causes],
    }


def line_survival_view(survival: "LineSurvival", glyphs: "Glyphs") -> Group:
    """The survival of lines as tables: diversity, main contributors, founders, dead lines, causes.

    Args:
        survival: what to show.
        glyphs: signs of the curves.
    """
    models, diversity = survival.models, survival.diversity
    parts: list[Any] = [
        Text(
            f"{diversity.living:,} living of {diversity.effective_founders:.1f} effective "
            f"founders; mean kinship {diversity.mean_kinship:.3f}, mean relationship of two "
            f"{diversity.mean_relationship:.3f}, mean inbreeding {diversity.mean_inbreeding:.3f}"
        )
    ]
    table = plain_table(
        "model", "born", "how", "in the living", "children", "all", "live", "fate",
        text=("model", "how", "fate"),
    )  # fmt: skip
    table.title = "Largest contributors to the living, with all descendants and those alive"
    for one in survival.main_contributors:
        row = models[one.model]
        table.add_row(
            safe(row.label),
            str(row.generation),
            safe(row.operator),
            f"{one.share:.1%}",
            f"{one.children:,}",
            f"{one.descendants:,}",
            f"{one.living:,}",
            fate(row.died, row.cause),
        )
    parts.append(table)
    table = plain_table(
        "founder", "in the living", "over generations", "carriers", "line", "ended with",
        text=("founder", "over generations", "line", "ended with"),
    )  # fmt: skip
    most = max((_peak(line.shares) for line in survival.founders), default=0.0)
    for line in survival.founders:
        table.add_row(
            safe(models[line.founder].label),
            "" if np.isnan(line.shares[-1]) else f"{line.shares[-1]:.1%}",
            curve(line.shares, most, glyphs.bars),
            f"{line.carriers:,}",
            line.state,
            _deaths(models, line.last),
            style={"died": "dim", "fading": "yellow"}.get(line.state),
        )
    parts.append(table)
    if survival.lost:
        table = plain_table(
            "line that died", "born", "descendants", "ended", "with",
            text=("line that died", "with"),
        )  # fmt: skip
        for lost in survival.lost:
            row = models[lost.head]
            table.add_row(
                safe(row.label),
                str(row.generation),
                f"{lost.descendants:,}",
                str(lost.ended),
                _deaths(models, lost.last),
            )
        parts.append(table)
    if survival.causes:
        table = plain_table("cause of death", "deaths", "generations", "mean age",
                            text=("cause of death",))  # fmt: skip
        for cause in survival.causes:
            when = f"{cause.first} to {cause.last}" if cause.first < cause.last else cause.first
            table.add_row(safe(cause.cause), f"{cause.deaths:,}", str(when), f"{cause.age:.1f}")
        parts.append(table)
    return Group(*parts)


def relation_json(relation: "Relation", models: Mapping[int, "Model"]) -> dict[str, Any]:
    """The dictionary that `colony kin --json` prints.

    Args:
        relation: of two models.
        models: both and their common ancestors, by id.
    """
    return {
        "models": [{"id": i, "label": models[i].label} for i in relation.models],
        "relationship": relation.relationship,
        "kinship": relation.kinship,
        "inbreeding": list(relation.inbreeding),
        "common_ancestors": [
            {"id": node.model, **vars(node), "label": models[node.model].label}
            for node in relation.common
        ],
        "path": None if relation.path is None else list(relation.path),
    }


def relation_view(relation: "Relation", family: "Family", most: int) -> Group:
    """How closely two models are related, and a table of their common ancestors.

    Args:
        relation: of the two.
        family: knows the labels of both and of the ancestors listed.
        most: ancestors to list at most.
    """
    one, other = (family.label(model) for model in relation.models)
    parts: list[Any] = [
        Text(
            f"{one} and {other}: relationship {relation.relationship:.3f}, "
            f"kinship {relation.kinship:.3f}; inbreeding {relation.inbreeding[0]:.3f} and "
            f"{relation.inbreeding[1]:.3f}"
        )
    ]
    if not relation.common:
        return Group(*parts, Text("no common ancestor"))
    table = plain_table(
        "common ancestor", "born", f"steps from {one}", f"from {other}", f"part in {one}",
        f"in {other}", text=("common ancestor",),
    )  # fmt: skip
    for node in relation.common[:most]:
        table.add_row(
            safe(family.label(node.model)),
            str(family.models[node.model].generation),
            *(str(steps) for steps in node.steps),
            *(f"{part:.1%}" for part in node.parts),
        )
    parts.append(table)
    if len(relation.common) > most:
        parts.append(Text(f"{len(relation.common) - most:,} more; --limit shows more", style="dim"))
    return Group(*parts)


def curve(shares: "Floats", most: float, bars: str) -> str:
    """A history as a row of `CURVE` bars at most, each the mean of its span of generations.

    Args:
        shares: shape (generations,); NaN where there was none.
        most: the share that has the highest bar.
        bars: the signs, lowest first.
    """
    spans = np.array_split(shares, min(CURVE, len(shares)))
    levels = [0.0 if np.isnan(span).all() else float(np.nanmean(span)) for span in spans]
    top = len(bars) - 1
    return "".join(
        " " if level <= 0 else bars[round(top * level / most)] if most else bars[0]
        for level in levels
    )


def _peak(shares: "Floats") -> float:
    finite = shares[~np.isnan(shares)]
    return float(finite.max()) if len(finite) else 0.0


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _deaths_json(models: Mapping[int, "Model"], ids: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"id": i, "label": models[i].label, "died": models[i].died, "cause": models[i].cause}
        for i in ids
    ]


def _deaths(models: Mapping[int, "Model"], ids: Sequence[int]) -> Text:
    """The models that died last, with generation and cause."""
    if not ids:
        return Text("")
    row = models[ids[0]]
    others = f" and {len(ids) - 1:,} more" if len(ids) > 1 else ""
    return Text.assemble(
        safe(row.label), others, f", gen {row.died}: ",
        safe(", ".join(sorted({str(models[i].cause) for i in ids}))),
    )  # fmt: skip
