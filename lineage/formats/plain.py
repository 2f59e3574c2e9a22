"""A family as plain values, and as JSON: models, and edges from parent to child."""

import json
from typing import Any

from lineage.drawing.family import Family
from lineage.records import Model


def facts(model: Model) -> dict[str, Any]:
    """The attributes of a model by name, except its parents and hashes; None where none applies."""
    return {
        "id": model.id,
        "label": model.label,
        "kind": model.kind,
        "generation": model.generation,
        "operator": model.operator,
        "living": model.living,
        "died": model.died,
        "cause": model.cause,
    }


def nodes(family: Family) -> list[dict[str, Any]]:
    """A row of attributes per model, sorted by id; None where none applies."""
    return [
        {
            **facts(model),
            "champion": model.id == family.champion,
            "fitness": family.fitness.get(model.id),
            "children": family.children.get(model.id, 0),
            "weights_sha256": model.weights_sha256,
            "fingerprint": model.fingerprint,
        }
        for model in sorted(family.models.values(), key=lambda model: model.id)
    ]


def edges(family: Family) -> list[dict[str, Any]]:
    """A row per edge between models of the family: `parent`, `child`, `share` and `role`."""
    return [
        {"parent": parent.id, "child": child, "share": parent.share, "role": parent.role}
        for child in sorted(family.models)
        for parent in sorted(family.models[child].parents, key=lambda parent: parent.id)
        if parent.id in family.models
    ]


def as_json(family: Family) -> str:
    """A family as JSON that networkx reads.

    `networkx.node_link_graph(data, edges="edges", source="parent", target="child")` makes a graph
    of it.
    """
    value = {
        "directed": True,
        "multigraph": False,
        "graph": {},
        "nodes": nodes(family),
        "edges": edges(family),
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
