"""A family in the language of Graphviz: `dot -Tsvg family.dot > family.svg`."""

from lineage.drawing.family import Family
from lineage.drawing.text import shown
from lineage.formats.plain import edges, nodes


def dot(family: Family) -> str:
    """A family in DOT, the oldest at the top; thicker edges are larger shares."""
    lines = [
        "digraph lineage {",
        "  node [shape=box, style=rounded, fontname=sans];",
        "  edge [color=gray40];",
    ]
    for node in nodes(family):
        label = shown(node["label"])
        if node["fitness"] is not None:
            label += f" {node['fitness']:.3f}"
        detail = shown(f"{node['operator']}, gen {node['generation']}")
        look = ", peripheries=2" if node["champion"] else ""
        if node["kind"] == "founder":
            look += ', style="filled"'
        elif not node["living"]:
            look += ', style="rounded,dashed"'
        lines.append(f"  {node['id']} [label={_quoted(label, detail)}{look}];")
    for edge in edges(family):
        width = 0.5 + 3.0 * edge["share"]
        lines.append(f"  {edge['parent']} -> {edge['child']} [penwidth={width:.2f}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(*lines: str) -> str:
    """A string of DOT, where a backslash begins an escape: those of names are doubled."""
    parts = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(parts) + '"'
