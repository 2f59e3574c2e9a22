"""A family as GraphML, which Gephi, yEd, Cytoscape and networkx read."""

import re
from io import BytesIO

import networkx as nx

from lineage.drawing.family import Family
from lineage.formats.plain import edges, nodes

_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to say, even escaped; and carriage returns, of which those who read it
make line feeds."""


def graphml(family: Family) -> str:
    """Nodes and edges with everything that is known of them."""
    graph = nx.DiGraph()
    for node in nodes(family):
        known = {key: _clean(value) for key, value in node.items() if value is not None}
        graph.add_node(known.pop("id"), **known)
    for edge in edges(family):
        graph.add_edge(edge["parent"], edge["child"], share=edge["share"], role=edge["role"])
    text = BytesIO()
    nx.write_graphml(graph, text)
    return text.getvalue().decode("utf-8") + "\n"


def _clean(value: object) -> object:
    return _FORBIDDEN.sub(_spelled, value) if isinstance(value, str) else value


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
