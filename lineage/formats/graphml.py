"""A family as GraphML, which Gephi, yEd, Cytoscape and networkx read."""

import re
from io import BytesIO

import networkx as nx

from lineage.drawing.family import Family
from lineage.formats.plain import edges, nodes

_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, even escaped; and carriage returns, which readers of XML
turn into line feeds."""


def graphml(family: Family) -> str:
    """A family as a GraphML document, with all attributes of `plain.nodes` and `plain.edges`."""
    graph = nx.DiGraph()
    for node in nodes(family):
        attributes = {key: _clean(value) for key, value in node.items() if value is not None}
        graph.add_node(attributes.pop("id"), **attributes)
    for edge in edges(family):
        graph.add_edge(edge["parent"], edge["child"], share=edge["share"], role=edge["role"])
    text = BytesIO()
    nx.write_graphml(graph, text)
    return text.getvalue().decode("utf-8") + "\n"


def _clean(value: object) -> object:
    return _FORBIDDEN.sub(_escape, value) if isinstance(value, str) else value


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
