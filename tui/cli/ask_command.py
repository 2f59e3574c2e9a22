"""`colony ask`: a prompt is answered by the champion, by another model, or by the living as one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.errors import ArchiveError
from tui.cli.lineage_tables import plain_table, safe
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_failure,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from rich.table import Table

    from population.analysis.asking import Reply

app = typer.Typer()


@app.command(
    help=help_text(
        "Ask the colony a prompt. The champion answers, or another model; with --colony all the "
        "living do, founders included, and who is surest and most trusted is heard.",
        'colony ask "rev:hryku="',
        'colony ask "sum:42+21=" --colony --explain     (who says what, and how sure)',
        'colony ask "cap:qncxrp=" --model capital --json | jq -r .answer',
        'colony ask "How many circles?" --image scene.png   (models that see)',
    )
)
def ask(
    prompt: Annotated[str, typer.Argument(help="As models get it; nothing is added.")],
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    colony: Annotated[bool, typer.Option("--colony", help="Ask all the living.")] = False,
    model: Annotated[
        str | None, typer.Option(help="Ask this one.", show_default="champion")
    ] = None,
    task: Annotated[
        str, typer.Option(help="What is asked for: trust earned there counts, and its stop text.")
    ] = "",
    image: Annotated[
        list[Path] | None,
        typer.Option(help="Show this, where the prompt says <image>, or before it; repeatable."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every reply.")] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        from arena.tasks.images import image_file

        if colony and model is not None:
            raise ArchiveError("choose one of --colony and --model")
        images = [image_file(path) for path in image or ()]
        opened = open_archive(archive)
        asked = opened.models(living=True) if colony else [opened.find(model or "champion")]
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.analysis.asking import ask as ask_models
            from population.campaign.opening_context import reopen_context

            context = reopen_context(opened, progress)
            context.failures.on_failure = print_failure
            names = [known.name for known in context.tasks]
            if task and task not in names:
                raise ArchiveError(f"no task {task!r} here; there are {', '.join(names)}")
            replies = ask_models(opened, context, prompt, asked, task, progress, images)
        if not replies:
            raise ArchiveError("nobody could answer")
        if as_json:
            print_json(replies_json(replies))
            return
        out.print(safe(replies[0].answer.text), highlight=False, soft_wrap=True)
        if explain:
            out.print(replies_view(replies))


def replies_json(replies: "list[Reply]") -> dict[str, Any]:
    """The dictionary that `colony ask --json` prints; the first reply is the one that is heard."""
    return {
        "answer": replies[0].answer.text,
        "id": replies[0].model.id,
        "replies": [
            {
                "id": reply.model.id,
                "label": reply.model.label,
                "answer": reply.answer.text,
                "confidence": reply.answer.sureness,
                "trust": reply.trust,
            }
            for reply in replies
        ],
    }


def replies_view(replies: "list[Reply]") -> "Table":
    """Who says what, the one that is heard first."""
    table = plain_table("model", "says", "sure", "trust", text=("model", "says"))
    for reply in replies:
        table.add_row(
            safe(reply.model.label),
            safe(reply.answer.text),
            f"{reply.answer.sureness:.3f}",
            f"{reply.trust:.2f}",
        )
    return table
