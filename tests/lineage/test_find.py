"""The filter language: what it means, what it refuses and how, and that nothing escapes from it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import Archive, ArchiveError
from lineage.ancestry import graph as ancestry
from lineage.filters import Condition, Expression, FilterError, Not, Several, parsed
from lineage.filters.fields import FIELDS
from lineage.points import points
from lineage.queries.find import find
from lineage.records import Model
from tests.command_helpers import colony, failure


def ids(archive: Archive, text: str, **options: object) -> list[int]:
    return find(archive, text, **options).ids  # type: ignore[arg-type]


def expected(archive: Archive, wanted: object) -> set[int]:
    return {model.id for model in archive.models() if wanted(model)}  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", lambda m: True),
        ("gen>1", lambda m: m.generation > 1),
        ("born >= 1 and gen<=2", lambda m: 1 <= m.generation <= 2),
        ("id=#5", lambda m: m.id == 5),
        ("id==5 or id=6", lambda m: m.id in (5, 6)),
        ("not gen>1", lambda m: m.generation <= 1),
        ("NOT (gen>1 OR living)", lambda m: m.generation <= 1 and not m.living),
        (
            "gen=1 or gen=2 and living",
            lambda m: m.generation == 1 or (m.generation == 2 and m.living),
        ),
        ("(gen=1 or gen=2) and living", lambda m: m.generation in (1, 2) and m.living),
        ("living", lambda m: m.living),
        ("fossil and not founder", lambda m: not m.living and m.kind != "founder"),
        ("founder", lambda m: m.kind == "founder"),
        ("offspring", lambda m: m.kind == "offspring"),
        ("operator=emitter", lambda m: m.operator == "emitter"),
        ("operator != emitter", lambda m: m.operator != "emitter"),
        ("operator~MIT", lambda m: "mit" in m.operator),
        ("name='capital'", lambda m: m.name == "capital"),
        ('name~"cap"', lambda m: m.name is not None and "cap" in m.name),
        ("died<2", lambda m: m.died is not None and m.died < 2),
        ("not died<2", lambda m: m.died is None or m.died >= 2),
        ("parents>1", lambda m: len(m.parents) > 1),
    ],
)  # fmt: skip
def test_what_rows_say(small_archive: Archive, text: str, wanted: object) -> None:
    assert set(ids(small_archive, text)) == expected(small_archive, wanted)


def test_what_scores_and_the_arena_say(small_archive: Archive) -> None:
    means = small_archive.task_means("search")
    selection = small_archive.task_means("selection")
    tasks = sorted({task for known in means.values() for task in known})

    def fitness(model: Model) -> float:
        return float(np.mean([0.5 * (e + p) for e, p in means[model.id].values()]))

    middle = float(np.median([fitness(m) for m in small_archive.models() if m.id in means]))
    found = ids(small_archive, f"fitness>{middle}")
    assert set(found) == expected(small_archive, lambda m: m.id in means and fitness(m) > middle)
    assert found == sorted(found, key=lambda i: (-fitness(small_archive.models(ids=[i])[0]), -i))
    assert set(ids(small_archive, "selection>=0")) == set(selection)
    assert set(ids(small_archive, "not selection>=0")) == expected(
        small_archive, lambda m: m.id not in selection
    )
    whole = {
        model: {**means.get(model, {})}.get(tasks[0]) for model in means.keys() - selection.keys()
    }
    found = set(ids(small_archive, f"task:{tasks[0]}>=40% and not selection>=0"))
    assert found == {model for model, known in whole.items() if known and known[0] >= 0.4}
    last = small_archive.generations()[-1]
    rated = small_archive.ratings(last.generation)
    some = sorted(rating.rating for rating in rated.values())[len(rated) // 2]
    living = set(ids(small_archive, f"living and rating>={points(some) - 1e-6}"))
    assert living == {model for model, rating in rated.items() if rating.rating >= some}
    champions = {past.champion for past in small_archive.generations()}
    assert set(ids(small_archive, "champion")) == champions


def test_what_the_pedigree_says(small_archive: Archive) -> None:
    graph = ancestry.graph(small_archive.models())
    newest = small_archive.newest_id()
    assert set(ids(small_archive, f"ancestor-of:#{newest}")) == ancestry.ancestors(graph, newest)
    assert set(ids(small_archive, "descendant-of:capital")) == ancestry.descendants(graph, 2)
    assert set(ids(small_archive, f"parent-of:{newest}")) == set(graph.pred[newest])
    assert set(ids(small_archive, "child-of:capital")) == set(graph.succ[2])
    shares = {node: ancestry.founder_shares(graph, node).get(2, 0.0) for node in graph}
    found = find(small_archive, "founder:capital>0.3")
    assert set(found.ids) == {node for node, share in shares.items() if share > 0.3}
    assert found.values["founder:capital"] == pytest.approx([shares[i] for i in found.ids])
    counts = small_archive.children_counts()
    assert set(ids(small_archive, "children>=2")) == {n for n in graph if counts.get(n, 0) >= 2}


def test_order_and_limit(small_archive: Archive) -> None:
    everybody = [model.id for model in small_archive.models()]
    assert ids(small_archive, "", sort="id", ascending=True) == everybody
    found = find(small_archive, "", sort="id", limit=3)
    assert found.ids == everybody[::-1][:3]
    assert found.count == len(everybody)
    unborn = ids(small_archive, "", sort="died")
    assert small_archive.models(ids=[unborn[-1]])[0].died is None  # what is not known comes last
    assert find(small_archive, "id>99999").count == 0


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("gne>3", 0, "did you mean gen?"),
        ("gen>3 and livin", 10, "did you mean living?"),
        ("task:zzz>1", 0, "no task is named 'zzz'"),
        ("founder:capitol>0.1", 0, "did you mean capital?"),
        ("gen>", 4, "expected a value after >"),
        ("gen>and", 4, "compared with a number"),
        ("gen>3 and", 9, "expected a field"),
        ("gen>3 or or gen>4", 9, "expected a field, not 'or'"),
        ("(gen>3", 0, "never closed"),
        ("gen>3)", 5, "expected `and`, `or` or the end"),
        ("gen 3", 4, "expected `and`, `or` or the end"),
        ("gen", 0, "gen>10"),
        ("task>3", 0, "task:kanji>0.8"),
        ("gen:x>3", 0, "takes no name"),
        ("gen>abc", 4, "compared with a number, not 'abc'"),
        ("gen~3", 0, "~ is for texts"),
        ("living=true", 0, "nothing to compare"),
        ("name='x", 5, "a quote that is never closed"),
        ("task:", 5, "expected a name after task:"),
        ("ancestor-of:#99999", 0, "no model '#99999'"),
        ("ancestor-of", 0, "ancestor-of:#12"),
        ("gen>3 and \x00", 10, ""),
        ("(" * 60 + "living" + ")" * 60, 50, "brackets within each other"),
        ("not " * 60 + "living", 200, "brackets within each other"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_pointed_at(small_archive: Archive, text: str, at: int, said: str) -> None:
    with pytest.raises(FilterError) as error:
        find(small_archive, text)
    message, shown, caret = str(error.value).split("\n")
    assert said in message
    assert len(shown) - 2 == len(text)
    assert caret == "  " + " " * at + "^"


HOSTILE = (
    "'; DROP TABLE models; --",
    '" OR 1=1 --',
    "x' UNION SELECT 1 --",
    "$p0",
    "{0}",
    "%s",
    "\\",
    "a\\'b",
    "rows_j0",
    "漢字",
    "\x00",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_only_ever_compared(small_archive: Archive, name: str) -> None:
    before = len(small_archive.models())
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for text in (f"name={quoted}", f"operator={quoted}", f"cause~{quoted}", f"hash={quoted}"):
        assert ids(small_archive, text) == []
    assert len(ids(small_archive, f"operator!={quoted}")) == before
    for text in (f"task:{quoted}>0", f"founder:{quoted}>0", f"child-of:{quoted}", f"{quoted}>1"):
        with pytest.raises(ArchiveError):
            find(small_archive, text)
    with pytest.raises(ArchiveError):
        find(small_archive, "", sort=name)
    assert len(small_archive.models()) == before


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    try:
        tree = parsed(text)
    except FilterError:
        return
    assert isinstance(tree, Condition | Not | Several)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Expression:
    kind = draw(st.sampled_from(["condition", "not", "and", "or"])) if depth else "condition"
    if kind == "condition":
        operator = draw(st.sampled_from([None, ">", ">=", "<", "<=", "=", "!=", "~"]))
        value = draw(st.text(max_size=5)) if operator else ""
        argument = draw(st.none() | st.text(max_size=5))
        return Condition(draw(st.sampled_from(list(FIELDS))), argument, operator, value, 0, 0)
    if kind == "not":
        return Not(draw(trees(depth - 1)))
    parts = draw(st.lists(trees(depth - 1), min_size=2, max_size=3))
    return Several(kind, tuple(parts))  # type: ignore[arg-type]


def written(tree: Expression) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    if isinstance(tree, Condition):
        name = tree.field if tree.argument is None else f"{tree.field}:{quoted(tree.argument)}"
        return f"{name} {tree.operator} {quoted(tree.value)}" if tree.operator else name
    if isinstance(tree, Not):
        return f"not ({written(tree.part)})"
    return f" {tree.word} ".join(f"({written(part)})" for part in tree.parts)


def unplaced(tree: Expression) -> Expression:
    if isinstance(tree, Condition):
        return Condition(tree.field, tree.argument, tree.operator, tree.value, 0, 0)
    if isinstance(tree, Not):
        return Not(unplaced(tree.part))
    return Several(tree.word, tuple(unplaced(part) for part in tree.parts))


@given(trees())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_what_is_read(tree: Expression) -> None:
    assert unplaced(parsed(written(tree))) == tree


def test_the_command(small_archive: Archive) -> None:
    path = small_archive.path
    code, said, _ = colony("find", "founder", "-a", path)
    assert code == 0
    assert "4 found" in said
    code, said, _ = colony("find", "offspring", "-a", path, "--limit", 2)
    assert "the first 2 are shown" in said
    rows = json.loads(colony("find", "founder:capital>0.1", "-a", path, "--json")[1])
    assert {row["id"] for row in rows} == set(ids(small_archive, "founder:capital>0.1"))
    assert all(row["fields"]["founder:capital"] > 0.1 for row in rows)
    code, _, error = colony("find", "gne>3", "-a", path)
    assert code == 1
    assert error.splitlines() == [
        "error: no field is named 'gne'; did you mean gen?",
        "  gne>3",
        "  ^",
    ]
    assert "task:NAME" in colony("find", "--fields")[1]
    fields = json.loads(colony("find", "--fields", "--json")[1])
    assert {field["kind"] for field in fields if field["field"] == "task:NAME"} == {"number"}
    assert "no archive" in failure("find", "living", "-a", path.with_name("none.duckdb"))
