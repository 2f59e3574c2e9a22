"""Lineages as plain text, for terminals, logs and files. No colour, no terminal needed."""

from collections.abc import Callable

import networkx as nx

from lineage.records import Model

_TEE, _ELBOW, _BAR, _GAP = "├─ ", "└─ ", "│  ", "   "


def pedigree(
    ancestry: nx.DiGraph,
    model: int,
    *,
    depth: int = 4,
    describe: Callable[[Model], str] | None = None,
) -> str:
    """A model and its ancestors as a tree that grows downwards into the past.

    Parents stand below their child, the greater share first. An ancestor that is met again is
    named with `see above` instead of being drawn twice, since inbred lines repeat endlessly.

    Args:
        ancestry: from `lineage.ancestry.graph`, holding the model and its ancestors.
        model: whose pedigree to draw.
        depth: how many generations of ancestors to draw.
        describe: extra text for a model, such as its score.
    """
    lines: list[str] = []
    drawn: set[int] = set()

    def draw(node: int, lead: str, hang: str, left: int, share: float | None) -> None:
        row: Model = ancestry.nodes[node]["model"]
        text = f"{lead}{row.label}"
        if share is not None:
            text += f"  {share:.0%}"
        parents = sorted(ancestry.pred[node].items(), key=lambda p: (-p[1]["share"], p[0]))
        if node in drawn and parents:
            lines.append(f"{text}  (see above)")
            return
        drawn.add(node)
        details = f"{row.operator}, gen {row.generation}" if parents else row.kind
        if describe and (extra := describe(row)):
            details += f", {extra}"
        lines.append(f"{text}  {details}")
        if parents and left == 0:
            lines.append(f"{hang}{_ELBOW}… {len(nx.ancestors(ancestry, node))} more ancestors")
            return
        for position, (parent, edge) in enumerate(parents, start=1):
            last = position == len(parents)
            draw(
                parent,
                hang + (_ELBOW if last else _TEE),
                hang + (_GAP if last else _BAR),
                left - 1,
                edge["share"],
            )

    draw(model, "", "", depth, None)
    return "\n".join(lines)
