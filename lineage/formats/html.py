"""A family as one page of HTML: nothing is loaded from anywhere, and no script runs.

The drawing is SVG; a model links to its row in the table below, where parents are links again.
The page forbids itself to load anything, so that even a hostile name could do no more than look
odd.
"""

from dataclasses import replace
from html import escape
from typing import Any

from lineage.drawing.family import Family
from lineage.drawing.folding import folded
from lineage.drawing.text import shown
from lineage.formats.plain import edges, nodes

MOST_DRAWN = 3_000
"""More models than this are a smudge, and slow in a browser; the table has all of them."""

_ACROSS, _DOWN, _MARGIN = 92, 56, 24
"""Pixels between models of a generation, between generations, and around all."""

_STYLE = """
:root { color-scheme: light dark; --line: #8888; --champion: #1a7f37; --founder: #0969da; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; }
.drawing { overflow: auto; max-height: 80vh; border: 1px solid var(--line); border-radius: 6px; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg path { fill: none; stroke: currentColor; stroke-opacity: .35; }
svg circle { fill: Canvas; stroke: currentColor; stroke-width: 1.5; }
svg .living circle { fill: currentColor; }
svg .founder circle { fill: var(--founder); stroke: var(--founder); }
svg .champion circle { fill: var(--champion); stroke: var(--champion); stroke-width: 5; }
table { border-collapse: collapse; margin-top: 1.5em; }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text { text-align: left; }
tr:target { outline: 2px solid var(--champion); }
tr.fossil { opacity: .7; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{count} models, {links} parents. Filled: living; hollow: fossil; blue: founder; green: champion.
The youngest generation is at the top; point at a model for what is known, click for its row. A line
that was raised is drawn once, as its newest model; the table has all of its steps.</p>
{drawing}
{table}
</body>
</html>
"""


def html(family: Family, title: str = "A lineage of a colony") -> str:
    """A family as a page of HTML: a drawing (up to `MOST_DRAWN` models) and a table."""
    drawing, drawn = "", folded(family)
    if len(drawn.models) <= MOST_DRAWN:
        drawing = f'<div class="drawing">{_drawing(drawn)}</div>'
    return _PAGE.format(
        title=escape(shown(title, 80)),
        style=_STYLE,
        count=f"{len(family.models):,}",
        links=f"{len(edges(family)):,}",
        drawing=drawing,
        table=_table(replace(family, raised=drawn.raised)),
    )


def _drawing(family: Family) -> str:
    places = _places(family)
    width = max(x for x, _ in places.values()) + _ACROSS
    height = max(y for _, y in places.values()) + _DOWN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}">']
    for edge in edges(family):
        (x, y), (u, v) = places[edge["child"]], places[edge["parent"]]
        bend = (y + v) / 2
        parts.append(
            f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {bend:.0f} {u:.0f} {bend:.0f} {u:.0f} {v:.0f}" '
            f'stroke-width="{0.6 + 2.4 * edge["share"]:.1f}"/>'
        )
    for node in nodes(family):
        x, y = places[node["id"]]
        label = escape(shown(node["label"], 12))
        parts.append(
            f'<a href="#m{node["id"]}" class="{family.tone(node["id"])}">'
            f"<title>{escape(_tooltip(node, family))}</title>"
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="5"/>'
            f'<text x="{x + 8:.0f}" y="{y + 4:.0f}">{label}</text></a>'
        )
    return "".join([*parts, "</svg>"])


def _places(family: Family) -> dict[int, tuple[float, float]]:
    """Where each model stands: a row per generation, below its children's middle where it can."""
    rows: dict[int, list[int]] = {}
    for model in family.models.values():
        rows.setdefault(model.generation, []).append(model.id)
    wanted: dict[int, list[float]] = {}
    places: dict[int, tuple[float, float]] = {}
    for number, generation in enumerate(sorted(rows, reverse=True)):
        middle = {
            node: sum(spots) / len(spots) if (spots := wanted.get(node)) else 0.0
            for node in rows[generation]
        }
        x = 0.0
        for node in sorted(rows[generation], key=lambda node: (middle[node], node)):
            x = max(x, middle[node], float(_MARGIN))
            places[node] = (x, float(_MARGIN + number * _DOWN))
            for parent in family.models[node].parents:
                wanted.setdefault(parent.id, []).append(x)
            x += _ACROSS
    return places


def _tooltip(node: dict[str, Any], family: Family) -> str:
    fitness = node["fitness"]
    score = f", fitness {fitness:.3f}" if isinstance(fitness, float) else ""
    born = f"{family.how(node['id'])}, gen {node['generation']}"
    return shown(f"{node['label']}: {born}{score}, {_state(node)}", 200)


def _state(node: dict[str, object]) -> str:
    return "living" if node["living"] else f"fossil since {node['died']}: {node['cause']}"


def _table(family: Family) -> str:
    head = "<tr><th>model<th class=text>how<th>born<th>fitness<th>children<th class=text>state"
    rows = [head + "<th class=text>parents</tr>"]
    for node in reversed(nodes(family)):
        parents = sorted(family.models[node["id"]].parents, key=lambda parent: -parent.share)
        links = ", ".join(
            f'<a href="#m{parent.id}">{escape(family.label(parent.id))}</a> {parent.share:.0%}'
            if parent.id in family.models
            else f"{escape(family.label(parent.id))} {parent.share:.0%}"
            for parent in parents
        )
        fitness = "" if node["fitness"] is None else f"{node['fitness']:.3f}"
        rows.append(
            f'<tr id="m{node["id"]}" class="{family.tone(node["id"])}">'
            f"<td>{escape(shown(node['label']))}"
            f"<td class=text>{escape(family.how(node['id']))}<td>{node['generation']}"
            f"<td>{fitness}<td>{node['children']}<td class=text>{escape(shown(_state(node), 80))}"
            f"<td class=text>{links}</tr>"
        )
    return "<table>" + "\n".join(rows) + "</table>"
