"""How modules may import each other: no circle, not even a lazy one, among modules or rooms."""

import ast
from functools import cache
from pathlib import Path

import networkx as nx

from tests.conftest import SLOW

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


MAX_ATTRIBUTES = 12

PLAIN_RECORDS = {
    "Architecture": "a row of a table: where things lie in one family of models",
    "Columns": "the columns of the table of models",
    "Generation": "a row of the table of generations",
    "GenerationRecord": "what the archive stores of a generation",
    "Glyphs": "a set of characters",
    "Heartbeat": "the content of a file",
    "Round": "what the archive stores of an arena round",
    "Signs": "a set of characters",
}
"""Data classes that list what a table or a file has; to nest them would not make them simpler."""


def is_decorated(node: ast.ClassDef | ast.FunctionDef, name: str) -> bool:
    decorators = (getattr(one, "func", one) for one in node.decorator_list)
    return any(name in {getattr(one, "id", None), getattr(one, "attr", None)} for one in decorators)


def attributes(node: ast.ClassDef) -> set[str]:
    """Fields of a data class; what `__init__` binds to `self`; and properties that are kept."""
    found = set()
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and is_decorated(node, "dataclass"):
            if "ClassVar" not in ast.unparse(part.annotation):
                found.add(ast.unparse(part.target))
        elif isinstance(part, ast.FunctionDef) and is_decorated(part, "cached_property"):
            found.add(part.name)
        elif isinstance(part, ast.FunctionDef) and part.name == "__init__":
            found |= {
                target.attr
                for target in ast.walk(part)
                if isinstance(target, ast.Attribute)
                and isinstance(target.ctx, ast.Store)
                and ast.unparse(target.value) == "self"
            }
    return found


def test_no_class_has_more_attributes_than_a_reader_can_hold() -> None:
    large = {
        node.name: sorted(names)
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and len(names := attributes(node)) > MAX_ATTRIBUTES
    }
    assert {name: names for name, names in large.items() if name not in PLAIN_RECORDS} == {}
    assert PLAIN_RECORDS.keys() <= large.keys()


def test_attributes_are_counted_wherever_they_are_bound() -> None:
    source = """
class Plain:
    limit = 3
    def __init__(self, a):
        self.a, self.b = a, [0]
        self.c: int = 1
        other.d = 1
    @cached_property
    def e(self): ...
    @property
    def f(self): ...

@dataclass(frozen=True)
class Fields:
    g: int
    h: ClassVar[int] = 0
"""
    plain, fields = ast.parse(source).body
    assert isinstance(plain, ast.ClassDef)
    assert isinstance(fields, ast.ClassDef)
    assert attributes(plain) == {"a", "b", "c", "e"}
    assert attributes(fields) == {"g"}


def test_whatever_is_called_slow_exists() -> None:
    """Or a file that was renamed would come back into the fast half."""
    tests = [path.relative_to(ROOT / "tests").as_posix() for path in ROOT.glob("tests/**/*.py")]
    assert [name for name in SLOW if not any(test.startswith(name) for test in tests)] == []
