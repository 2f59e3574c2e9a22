"""`colony lm-eval`: lm-evaluation-harness on a model of the archive."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lineage import ArchiveError
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    clear_errors,
    expand_home,
    help_text,
    open_archive,
)

app = typer.Typer()


@app.command(
    name="lm-eval",
    help=help_text(
        "Measure a model on tasks of lm-evaluation-harness. All options but --archive are those of "
        "its own command, lm_eval (pip install 'model-colony[lm-eval]').",
        "colony lm-eval champion --tasks arc_easy,hellaswag",
        "colony lm-eval 78 --archive my.duckdb --tasks my_task.yaml --limit 100",
        "colony lm-eval models/my-model --tasks my_task.yaml --num_fewshot 3 --log_samples "
        "--output_path results",
        "colony lm-eval champion --model_args dtype=float32 batch_tokens=4096 --tasks my_task.yaml",
    ),
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def lm_eval(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="An id (12 or '#12'), a founder's name, a weights hash, or 'champion'; or the "
            "folder of a checkpoint, BASE+ADAPTER or a GGUF file."
        ),
    ],
    archive: ArchiveOption = DEFAULT_ARCHIVE,
) -> None:
    with clear_errors():
        os.environ.pop("TQDM_DISABLE", None)  # bars of the harness are the progress here
        from population.harness.models.command_line import evaluate_model

        evaluate_model(_place(model, expand_home(archive)), context.args)


def _place(model: str, archive: Path) -> dict[str, str]:
    """Where the model is: in an archive or, if nothing there is called so, in a folder or file."""
    from population.references import resolves

    try:
        open_archive(archive).find(model)
    except ArchiveError:
        if not resolves(model, None):
            raise
        return {"model": model}
    return {"archive": str(archive), "model": model}
