"""What the commands print: tables for people and plain values for scripts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.points import UNIT, points, spread
from tui.cli.lineage_tables import plain_table, safe

if TYPE_CHECKING:
    from lineage.records import Generation, Model, OperatorRecord, Rating
    from population.analysis.report import Report
    from population.analysis.report_entry import ReportEntry


def report_view(report: "Report") -> RenderableType:
    """The report as tables: the splits side by side, then every task."""
    rows = [report.champion, *report.baselines, *report.founders]
    weights = report.weights.told()
    weighted = f", weighted: {safe(weights)}, others 1" if weights else ""
    overall = Table(
        title=f"Mean exact match over all tasks{weighted}, with 95 % intervals",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    overall.add_column("model", min_width=15)
    overall.add_column("how")
    splits = [split for split in ("search", "selection", "test") if split in rows[0].results]
    for split in splits:
        overall.add_column(split, justify="right")
    for number, entry in enumerate(rows):
        title = "champion " + entry.name if entry is report.champion else entry.name
        cells = [str(entry.results[split].interval) for split in splits]
        style = "bold green" if number == 0 else None
        overall.add_row(
            safe(title),
            safe(entry.detail),
            *cells,
            style=style,
            end_section=number in (0, len(report.baselines)),
        )
    spent, coverage = report.spent, report.coverage
    covered = f"coverage by living offspring: {coverage.interval}\n" if coverage else ""
    covered += _living_text(report.living)
    own = (
        f"the colony's own labels, which stand for keys that items lack: {report.labels}\n"
        if report.labels
        else ""
    )
    founders = report.origin.founders
    held = f"founders in its weights: {founders_text(founders.as_json())}\n" if founders else ""
    return Group(
        overall,
        Text(),
        _tasks_view(report),
        Text(),
        Text(
            f"champion over best founder ({safe(report.best_founder.name)}): "
            f"{report.over_founder}\n"
            f"champion over best merge ({safe(report.best_merge.name)}): {report.over_merge}\n"
            f"{covered}"
            f"{own}"
            f"{_studies_text(report)}"
            f"the champion's pedigree: {report.origin.pedigree}\n"
            f"{held}"
            f"{spent.item_evaluations:,} item evaluations in {spent.generations} generations, "
            f"{spent.wall_s:.0f} s, "
            f"{spent.forward_fraction:.0%} of it in forward passes, "
            f"{spent.cores_busy:.1f} cores busy"
        ),
    )


def _studies_text(report: "Report") -> str:
    """Who learned what from whom, a paragraph for each study."""
    names = {entry.id: entry.name for entry in (*report.founders, report.champion)}

    def named(model: int) -> str:
        return str(safe(names.get(model, f"#{model}")))

    lines = []
    for study in report.studies:
        what = named(study.model) if study.model else "what was dropped, since it forgot,"
        lines.append(
            f"{what} is {named(study.pupil)} after {study.steps} steps on {study.items:,} labels "
            f"(generation {study.generation}, {study.evaluations:,} item evaluations)"
        )
        for teacher, lessons in study.by_teacher.items():
            told = ", ".join(f"{safe(one.task)} {one.items}" for one in lessons)
            lines.append(f"  from {named(teacher)}: {told}")
    return "".join(f"{line}\n" for line in lines)


def _living_text(last: "Generation") -> str:
    """What was recorded of the living on search items, a line; nothing in earlier archives."""
    if last.qd_score is None:
        return ""
    text = f"the living solve {last.item_coverage:.0%} of the panel, QD-score {last.qd_score:.3f}"
    if last.founders_by_weight is not None:
        text += f", {last.founders_by_weight:.1f} effective founders by weight"
    return f"{text}\n"


def _tasks_view(report: "Report") -> Table:
    from population.analysis.report import brought_in  # noqa: PLC0415 - torch, which is loaded

    table = Table(
        title="Exact match on the sealed test split, task by task",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    table.add_column("task", no_wrap=True)
    table.add_column("champion", justify="right", style="bold green")
    table.add_column("best offspring", justify="right")
    table.add_column("")
    table.add_column("best founder", justify="right")
    table.add_column("")
    table.add_column("best merge", justify="right")
    for task in report.champion.test.tasks:

        def here(entry: "ReportEntry", task: str = task) -> float:
            return entry.test.tasks[task]

        founder = max(brought_in(report.founders), key=here)
        best = report.coverage.tasks.get(task) if report.coverage else None
        composite = " (composite)" if task in report.composites else ""
        table.add_row(
            safe(task + composite),
            f"{here(report.champion):.2f}",
            f"{best.test:.2f}" if best else "",
            f"#{best.model}" if best else "",
            f"{here(founder):.2f}",
            safe(founder.name),
            f"{max(here(entry) for entry in report.baselines):.2f}",
        )
    return table


def model_rows(
    models: "list[Model]",
    selection: Mapping[int, Mapping[str, tuple[float, float]]],
    scores: Mapping[int, float],
    ratings: "Mapping[int, Rating]",
    champion: int | None,
) -> list[dict[str, Any]]:
    """The list that `colony models --json` prints.

    In it `selection` is exact match on the selection split, `score` what crowns champions there,
    and `rating` is in Elo points (see `lineage.points`).

    Args:
        models: to list.
        selection: by model and task, exact match and probability of the key on the selection split.
        scores: by model, the score that crowns champions.
        ratings: by model, in logits.
        champion: its id, if there is one.
    """
    return [
        {
            "id": model.id,
            "name": model.name,
            "kind": model.kind,
            "generation": model.generation,
            "operator": model.operator,
            "living": model.living,
            "died": model.died,
            "cause": model.cause,
            "champion": model.id == champion,
            "selection": _mean(selection.get(model.id)),
            "score": scores.get(model.id),
            "rating": points(ratings[model.id].rating) if model.id in ratings else None,
            "parents": [
                {"id": parent.id, "share": parent.share, "role": parent.role}
                for parent in model.parents
            ],
            "weights_sha256": model.weights_sha256,
            "fingerprint": model.fingerprint,
        }
        for model in models
    ]


def models_view(rows: list[dict[str, Any]]) -> RenderableType:
    """The models as a table.

    Args:
        rows: as `model_rows` gives them.
    """
    table = plain_table(
        "model", "born", "how", "score", "rating", "parents", "state",
        text=("model", "how", "parents", "state"),
    )  # fmt: skip
    for row in rows:
        parents = " ".join(f"#{parent['id']}" for parent in row["parents"][:3])
        more = len(row["parents"]) - 3
        state = "living" if row["living"] else f"fossil since {row['died']}"
        table.add_row(
            safe(row["name"] or f"#{row['id']}"),
            str(row["generation"]),
            safe(row["operator"]),
            "" if row["score"] is None else f"{row['score']:.3f}",
            "" if row["rating"] is None else f"{row['rating']:.0f}",
            parents + (f" +{more}" if more > 0 else ""),
            "champion" if row["champion"] else state,
            style="bold green" if row["champion"] else None if row["living"] else "dim",
        )
    cells = (
        "score: on the selection split, which crowns the champion (half exact match, half the "
        f"probability of the key)\nrating: {UNIT}"
    )
    return Group(table, Text(cells, style="dim"))


def model_view(facts: dict[str, Any]) -> RenderableType:
    """One model, as `colony show` prints it.

    Args:
        facts: the dictionary that `colony show --json` prints.
    """
    head = Table.grid(padding=(0, 2))
    identity = "fingerprint" if facts["weights_sha256"] is None else "weights_sha256"
    for name in ("id", "name", "kind", "operator", "generation", "state", identity):
        if facts[name] is not None:
            head.add_row(Text(name.removesuffix("_sha256"), style="dim"), safe(facts[name], 100))
    if facts["parents"]:
        head.add_row(
            Text("parents", style="dim"),
            ", ".join(f"#{p['id']} {p['share']:.0%} {safe(p['role'])}" for p in facts["parents"]),
        )
    if study := facts["study"]:
        head.add_row(
            Text("learned", style="dim"),
            f"#{study['pupil']} after {study['steps']} steps on {study['items']:,} labels that the "
            f"colony made, in generation {study['generation']}",
        )
    if facts["founders_by_weight"] is not None:
        head.add_row(
            Text("founders in its weights", style="dim"),
            founders_text(facts["founders_by_weight"]),
        )
    if facts["score"] is not None:
        head.add_row(
            Text("score", style="dim"),
            f"{facts['score']:.3f} on the selection split, by which champions are crowned",
        )
    if facts["rating"]:
        rating = facts["rating"]
        head.add_row(
            Text("rating", style="dim"),
            f"{rating['rating']:.0f} ± {rating['interval']:.0f} {rating['unit']}",
        )
    scores = Table(title="Exact match", title_style="bold", box=box.SIMPLE_HEAD)
    scores.add_column("task")
    scores.add_column("search", justify="right")
    scores.add_column("selection", justify="right")
    for task in sorted({*facts["search"], *facts["selection"]}):
        scores.add_row(
            safe(task), *(_two_digits(facts[split].get(task)) for split in ("search", "selection"))
        )
    parts: list[RenderableType] = [head, Text(), scores]
    for view in recipe_views(facts["recipe"] or {}):
        parts += [Text(), view]
    return Group(*parts)


def founders_text(founders: dict[str, Any]) -> str:
    """The founders' parts in a model's weights, the largest first.

    Args:
        founders: as `--json` prints them.
    """
    shares = ", ".join(f"{safe(name)} {share:.0%}" for name, share in founders["shares"].items())
    coarse = "" if founders["measure"] == "length" else ", by numbers of parameters"
    return f"{shares} ({founders['effective']:.1f} effective{coarse})"


def rating_json(rating: "Rating | None") -> dict[str, Any] | None:
    """A rating in Elo points with its 95 % interval, as `colony show --json` prints it."""
    if rating is None:
        return None
    return {
        "rating": points(rating.rating),
        "interval": spread(rating.deviation),
        "unit": UNIT,
    }


def recipe_views(recipe: dict[str, Any]) -> list[Table]:
    """Tables of a recipe: methods and coefficients of what is merged, the path of what is routed.

    Args:
        recipe: as `colony show --json` prints it.
    """
    views = []
    if "methods" in recipe:
        views.append(_methods_view(recipe))
    if "coefficients" in recipe:
        views.append(_coefficients_view(recipe))
    if "steps" in recipe:
        views.append(_path_view(recipe["steps"]))
    return views


def _methods_view(recipe: dict[str, Any]) -> Table:
    """A row for each layer: its method, and what is kept of each founder's task vector there."""
    table = Table(
        title="Recipe: merge methods, and the part that is kept of each founder's task vector",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("layer", "method", "norm.", "seed"):
        table.add_column(name, justify="right" if name == "seed" else "left", no_wrap=True)
    for name in recipe["founders"]:
        table.add_column(safe(name), justify="right", min_width=5)
    methods = recipe["methods"]
    first, *others = methods.values()
    if all(other == first for other in others):
        methods = {"everywhere": first}
    for region, own in methods.items():
        densities = [f"{density:.0%}" for density in own.get("densities", ())]
        normalised = "yes" if own.get("normalize") else ""
        seed = str(own.get("seed", ""))
        share = f" {own['select_topk']:.0%}" if "select_topk" in own else ""
        table.add_row(safe(region), safe(own["method"] + share), normalised, seed, *densities)
    return table


def _coefficients_view(recipe: dict[str, Any]) -> Table:
    """A row per block, a column per founder, its coefficient in the cell."""
    merged = " in the merged model" if "steps" in recipe else ""
    table = Table(
        title=f"Recipe: coefficient of each founder's task vector{merged}",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("block")
    for name in recipe["founders"]:
        table.add_column(safe(name), justify="right", min_width=6)
    for block, row in zip(recipe["blocks"], zip(*recipe["coefficients"], strict=True), strict=True):
        table.add_row(safe(block), *(f"{value:+.2f}" for value in row))
    return table


def _path_view(steps: list[tuple[str, int, float]]) -> Table:
    """A row for each layer of the model: its source, its number there, the scale of its input."""
    table = Table(title="Recipe: path through layers", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("layer", "of", "its layer", "scale"):
        table.add_column(name, justify="left" if name == "of" else "right")
    for number, (model, layer, scale) in enumerate(steps):
        table.add_row(str(number), safe(model), str(layer), f"{scale:.2f}")
    return table


def operator_rows(records: "list[OperatorRecord]", models: "list[Model]") -> list[dict[str, Any]]:
    """The list that `colony operators --json` prints; `cost` is in item evaluations.

    Args:
        records: of the operators in the last generation.
        models: all models.
    """
    born = {row.operator: [m for m in models if m.operator == row.operator] for row in records}
    return [
        {
            "operator": row.operator,
            "expected": row.often,
            "tries": row.tries,
            "successes": row.successes,
            "cost": row.cost,
            "births": len(born[row.operator]),
            "living": sum(model.living for model in born[row.operator]),
        }
        for row in records
    ]


def operators_view(rows: list[dict[str, Any]]) -> Table:
    """The operators as a table."""
    table = Table(
        title="Operators; what was tried counts less with every generation",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("operator")
    for name in ("expected", "tries", "successes", "items asked", "births", "living"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            safe(row["operator"]),
            f"{row['expected']:.0%}",
            f"{row['tries']:.1f}",
            f"{row['successes']:.1f}",
            f"{row['cost']:,.0f}",
            str(row["births"]),
            str(row["living"]),
        )
    return table


def _mean(tasks: Mapping[str, tuple[float, float]] | None) -> float | None:
    if not tasks:
        return None
    return sum(exact for exact, _ in tasks.values()) / len(tasks)


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
