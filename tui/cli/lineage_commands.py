"""The commands that look at lineages: `colony lineage`, `find` and `diff`. None loads torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lineage import ArchiveError
from tui.cli.drawings import coloured, style_for
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    AsciiOption,
    JsonOption,
    ModelArgument,
    clear_errors,
    err,
    help_text,
    open_archive,
    out,
    print_json,
)

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.ancestry.ancestry import Ancestry
    from lineage.drawing import Drawing, Family, Style

app = typer.Typer()

DEPTHS = {"tree": 3, "pedigree": 4, "graph": 4}
"""Generations that are drawn by default; the other drawings draw all."""


FOLDED = ("tree", "graph")
"""Drawings in which a line that was raised is one row."""


@app.command(
    help=help_text(
        "Draw where a model comes from: its ancestors as a tree, a line, a pedigree or a graph.",
        "colony lineage champion",
        "colony lineage 40 --pedigree --depth 6",
        "colony lineage --graph --steps              (all births, those within lines too)",
        "colony lineage --line                       (of the champion: what each step won)",
        "colony lineage --map                        (all births by birth and fitness)",
        "colony lineage kanji --descendants          (who came of it)",
        "colony lineage champion --export family.html   (or .graphml .dot .json .parquet)",
        "colony lineage --all --export colony.graphml   (everybody)",
    )
)
def lineage(
    model: ModelArgument = "champion",
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    tree: Annotated[
        bool, typer.Option("--tree", help="Ancestors as a tree with shares; the default.")
    ] = False,
    line: Annotated[
        bool, typer.Option("--line", help="The line of the fitter parent, a step a row.")
    ] = False,
    pedigree: Annotated[
        bool, typer.Option("--pedigree", help="The two fittest parents of each, numbered.")
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Ancestors with lanes, as git draws history.")
    ] = False,
    steps: Annotated[
        bool,
        typer.Option(
            "--steps",
            help="Draw every birth in trees and graphs; otherwise a line that was raised (steps of "
            "one parent each) is one row, with what it gained.",
        ),
    ] = False,
    birth_map: Annotated[
        bool, typer.Option("--map", help="All births, with the model's line over them.")
    ] = False,
    descendants: Annotated[
        bool, typer.Option("--descendants", help="Who descends from it, the fittest first.")
    ] = False,
    everybody: Annotated[
        bool, typer.Option("--all", help="With --json or --export: the whole archive.")
    ] = False,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Generations.", show_default="3 or 4 for drawings, else all"),
    ] = None,
    ascii_only: AsciiOption = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the models to FILE.html, .graphml, .dot, .json or .parquet."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        views = {
            "tree": tree,
            "line": line,
            "pedigree": pedigree,
            "graph": graph,
            "map": birth_map,
            "descendants": descendants,
        }
        chosen = [name for name, wanted in views.items() if wanted]
        if len(chosen) > 1:
            raise ArchiveError(f"--{chosen[0]} and --{chosen[1]} at once; choose one")
        view = chosen[0] if chosen else "tree"
        colony = open_archive(archive)

        row = colony.find(model)
        ancestry = colony.ancestry()
        if as_json or export:
            what = "all" if everybody else view
            family = _family_shown(colony, ancestry, row.id, what, depth, steps=True)
            if export:
                from lineage.formats import write_family

                write_family(family, export)
                err.print(
                    f"{len(family.models):,} models are in {export}",
                    highlight=False,
                    soft_wrap=True,
                )
            if as_json:
                print_json(_as_json(colony, ancestry, family, row.id))
            return
        if everybody:
            raise ArchiveError("--all needs --export FILE or --json; --map draws everybody")
        style = style_for(out, ascii_only)
        depth = depth or DEPTHS.get(view)
        drawing = _draw(colony, ancestry, row.id, view, depth, style, steps=steps)
        out.print(coloured(drawing), soft_wrap=True, highlight=False)
        out.print(_footer(colony, ancestry, row.id, view, style), soft_wrap=True, highlight=False)


def _family_shown(
    colony: "Archive",
    ancestry: "Ancestry",
    model: int,
    view: str,
    depth: int | None,
    *,
    steps: bool,
) -> "Family":
    """The models that a view shows, or all of them for "all"."""
    from lineage.drawing.folding import ancestors_through_lines, folded
    from lineage.queries.family import family_of, line_of_fitter_parents
    from lineage.queries.fitness import fitness_of_all

    if view == "line":
        fitness = fitness_of_all(colony, ancestry.newest)
        return family_of(
            colony, line_of_fitter_parents(ancestry, fitness, model), ancestry, fitness
        )
    if view in {"all", "map"}:
        ids: Any = range(1, ancestry.newest + 1)
    elif view == "descendants":
        ids = [model, *ancestry.descendants(model, depth).tolist()]
    elif view in FOLDED and not steps:
        ids, _ = ancestors_through_lines(ancestry.parents, model, depth)
        return folded(family_of(colony, ids, ancestry), keep=[model])
    else:
        ids = [model, *ancestry.ancestors(model, depth).tolist()]
    return family_of(colony, ids, ancestry)


def _draw(
    colony: "Archive",
    ancestry: "Ancestry",
    model: int,
    view: str,
    depth: int | None,
    style: "Style",
    *,
    steps: bool,
) -> "Drawing":
    if view == "map":
        return _map(colony, ancestry, model, style)
    family = _family_shown(colony, ancestry, model, view, depth, steps=steps)
    if view == "line":
        from lineage.drawing.line import line

        return line(family, model, depth, style)
    if view == "pedigree":
        from lineage.drawing.pedigree import pedigree

        return pedigree(family, model, depth or DEPTHS[view], style)
    if view == "graph":
        from lineage.drawing.lanes import lanes

        return lanes(family, model, style)
    if view == "descendants":
        from lineage.drawing.descendants import descendants

        return descendants(family, model, style=style)
    from lineage.drawing.tree import tree

    return tree(family, model, depth or DEPTHS["tree"], style)


def _map(colony: "Archive", ancestry: "Ancestry", model: int, style: "Style") -> "Drawing":
    from lineage.drawing.birth_map import birth_map
    from lineage.queries.family import line_of_fitter_parents
    from lineage.queries.fitness import fitness_of_all

    fitness = fitness_of_all(colony, ancestry.newest)
    places = [node - 1 for node in line_of_fitter_parents(ancestry, fitness, model)]
    last = colony.latest()
    champion = last.champion - 1 if last else None
    height = max(8, min(24, out.height - 6)) if out.is_terminal else 16
    return birth_map(fitness[1:], places, champion, height, style)


def _footer(colony: "Archive", ancestry: "Ancestry", model: int, view: str, style: "Style") -> Text:
    """What the signs mean, and the founders by descent."""
    from lineage.drawing.family import legend

    text = Text(f"\n{legend(style.glyphs)}", style="dim")
    if view in {"tree", "pedigree", "graph"}:
        from lineage.drawing.text import shown

        ancestors = len(ancestry.ancestors(model))
        parts = _shares(colony, ancestry, model).items()
        ranked = sorted(parts, key=lambda part: (-part[1], part[0]))
        shares_text = ", ".join(f"{shown(name)} {share:.0%}" for name, share in ranked)
        text.append(
            f"\n{ancestors:,} ancestors in all; founders by descent: {shares_text}", "not dim"
        )
    return text


def _shares(colony: "Archive", ancestry: "Ancestry", model: int) -> dict[str, float]:
    """The founders that a model descends from, by label, and their shares in it, summing to 1."""
    parts = ancestry.contributions([model])
    founders = [int(founder) for founder in ancestry.founders if parts[founder] > 0]
    return {row.label: float(parts[row.id]) for row in colony.models(ids=founders)}


def _as_json(
    colony: "Archive", ancestry: "Ancestry", family: "Family", model: int
) -> dict[str, Any]:
    from lineage.formats.plain import edges, nodes

    return {
        "id": model,
        "model": model,
        "founder_shares": _shares(colony, ancestry, model),
        "models": nodes(family),
        "edges": edges(family),
    }


@app.command(
    help=help_text(
        "Find models, living and fossil, by a filter.",
        'colony find "gen>100 and task:kanji>0.8 and founder:kanji>10%"',
        'colony find "fossil and cause~language"',
        'colony find "descendant-of:#40 and not (operator=emitter or fitness<0.5)" --json',
        'colony find "living" --sort founder:kanji --limit 5',
        'colony find "child-of:champion or champion" --sort gen --ascending',
        "colony find --fields                   (everything that can be chosen)",
    )
)
def find(
    text: Annotated[
        str,
        typer.Argument(
            metavar="FILTER",
            help="Conditions with and, or, not and brackets; operators > >= < <= = != and ~ "
            "(contains). Without one, everybody.",
        ),
    ] = "",
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    sort: Annotated[str, typer.Option(help="A field; the largest first.")] = "fitness",
    ascending: Annotated[bool, typer.Option("--ascending", help="The smallest first.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Show so many at most.", show_default="20; with --json all"),
    ] = None,
    fields: Annotated[bool, typer.Option("--fields", help="List the fields and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        from tui.cli.lineage_tables import fields_json, fields_view, found_rows, found_view

        if fields:
            if as_json:
                print_json(fields_json())
            else:
                out.print(fields_view())
            return
        colony = open_archive(archive)
        from lineage.queries.find import find as find_models

        most = limit or (None if as_json else 20)
        result = find_models(colony, text, sort=sort, ascending=ascending, limit=most)
        rows = found_rows(result, colony.models(ids=result.ids))
        if as_json:
            print_json(rows)
            return
        out.print(found_view(result, rows))
        more = f"; the first {len(rows)} are shown, --limit shows more"
        out.print(
            f"{result.count:,} found" + more * (len(rows) < result.count),
            highlight=False,
            soft_wrap=True,
        )


@app.command(
    help=help_text(
        "Compare two models, or a child with its parents: recipes, blocks and scores.",
        "colony diff 40 champion",
        "colony diff champion               (a model and its two main parents)",
        "colony diff 40 60 --json | jq '.models[1].distance'",
    )
)
def diff(
    model: ModelArgument,
    other: Annotated[
        str | None,
        typer.Argument(metavar="[OTHER]", help="Another model; its parents if left out."),
    ] = None,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from population.analysis.difference import difference, models_to_compare
        from tui.cli.lineage_tables import difference_json, difference_view

        one = colony.find(model)
        if other is None and not one.parents:
            raise ArchiveError(f"{one.label} is a founder and has no parents; name another model")
        two = None if other is None else colony.find(other)
        sides, child = models_to_compare(colony, one, two)
        comparison = difference(colony, sides)
        if as_json:
            print_json(difference_json(comparison))
        else:
            out.print(difference_view(comparison, child, out.width))
