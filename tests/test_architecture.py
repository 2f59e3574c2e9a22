"""How modules may import each other: no circle, not even a lazy one, among modules or rooms."""

import ast
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[1]
PACKAGES = ("lineage", "arena", "population", "tui")


@cache
def modules() -> dict[str, Path]:
    """All modules of the project by name; a package is called as its folder."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """What a module imports at any time; for type checkers alone does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", None) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in known else node.module)
    return found & known.keys()


def graph() -> nx.DiGraph:
    """An edge from each module to those that it imports."""
    known = modules()
    found = nx.DiGraph()
    found.add_nodes_from(known)
    found.add_edges_from(
        (name, one) for name, path in known.items() for one in imports(path, known)
    )
    return found


def room(module: str) -> str:
    """The folder that a module lies in; the public names of a package are a room of their own."""
    if modules()[module].name == "__init__.py":
        return module if "." in module else f"{module}.__init__"
    return module.rpartition(".")[0]


def circles(of: nx.DiGraph) -> list[list[str]]:
    return sorted(sorted(part) for part in nx.strongly_connected_components(of) if len(part) > 1)


def test_modules_import_in_no_circle() -> None:
    assert circles(graph()) == []


def test_rooms_import_in_no_circle() -> None:
    edges = ((room(one), room(other)) for one, other in graph().edges)
    assert circles(nx.DiGraph([edge for edge in edges if edge[0] != edge[1]])) == []


def test_a_circle_would_be_found() -> None:
    around = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert circles(around) == [["a", "b", "c"]]


def test_every_room_says_what_it_holds() -> None:
    for name, path in modules().items():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text, name


def test_no_class_has_the_name_of_another() -> None:
    owners: dict[str, list[str]] = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners.setdefault(node.name, []).append(name)
    assert {cls: where for cls, where in owners.items() if len(where) > 1} == {}
