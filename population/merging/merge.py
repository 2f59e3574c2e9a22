"""Merging from end to end: a recipe in, a complete checkpoint out."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from population.errors import CheckpointError, PopulationError, RecipeError
from population.merging.chat_templates import chat_template
from population.merging.checker import Checker
from population.merging.companions import update_tie_flag, write_companions
from population.merging.engine import MergePlan, Progress, plan, run
from population.merging.model_card import CardFacts, licence_of, origin_of, render_card
from population.merging.preflight import MergeNeeds, preflight
from population.merging.recipe import Recipe, with_paths_from
from population.merging.writer import new_folder
from population.models.canonical_form import form_with_hash
from population.models.checkpoints import Checkpoint
from population.models.grafts import GraftedCheckpoint
from population.models.opening import open_tensors
from population.models.sources import open_source
from population.models.tensor_files import TensorHeader

RECIPE = "recipe.json"


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        folder: where it is.
        weights_sha256: of its weights.
        tensors: how many.
        needs: the disk and memory it took, and warnings.
    """

    folder: Path
    weights_sha256: str
    tensors: int
    needs: MergeNeeds


def merge(
    recipe: Recipe,
    folder: Path,
    *,
    facts: CardFacts | None = None,
    device: str = "auto",
    threads: int | None = None,
    shard: int | None = None,
    pin: bool = False,
    opened: Mapping[str, Checkpoint] | None = None,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Merged:
    """Run a recipe and write the result; complete, or not at all.

    Args:
        recipe: what to merge.
        folder: where to write; must not exist, or be empty. If it ends in ".safetensors", only the
            weights are written, as one file.
        facts: for the model card, beside the recipe.
        device: where to compute.
        threads: tensors at a time on the CPU.
        shard: bytes per file at most.
        pin: write the hashes of the sources into the recipe that lies beside the result.
        opened: sources that are open and checked already, by name.
        progress: called with (bytes done, bytes in all, what); may raise to stop.
        say: called with a line before what takes long, and with notes for the user.

    Raises:
        RecipeError: the recipe needs something that these sources do not have.
        CheckpointError: a source is unusable, or the result is not what the recipe promised.
        PopulationError: there is too little disk space or memory, or the folder is in use.
    """
    single = folder.suffix == ".safetensors"
    if single and folder.exists():
        raise PopulationError(f"{folder} exists already; choose another name or remove it")
    with ExitStack() as stack:
        checker = None if single else stack.enter_context(Checker())
        planned = plan(recipe, say, _checked(recipe, opened or {}, say))
        needs = preflight(planned, folder)
        for warning in needs.warnings:
            say(f"note: {warning}")
        template = _template(planned)  # before anything is written: it may be wrong
        notes: list[str] = []
        draft = stack.enter_context(
            new_folder(folder, only="model.safetensors" if single else None)
        )
        if checker is not None and planned.result.config:
            notes = write_companions(planned, draft, template)
            shapes = {name: spec.shape for name, spec in planned.tensors.items()}
            others = [leaf.checkpoint for leaf in planned.leaves.values()]
            checker.submit(draft, shapes, planned.reference.checkpoint, others)
        run(
            planned,
            draft,
            device=device,
            threads=threads,
            shard=needs.disk + 1 if single else shard,
            progress=progress,
        )
        sha = _hash(draft, planned)
        promised = recipe.output.weights_sha256
        if promised and promised != sha:
            raise CheckpointError(
                f"the recipe promises weights {promised[:12]}, these sources make {sha[:12]}; "
                "they are not the sources it was written for"
            )
        if checker is not None and planned.result.config:
            update_tie_flag(draft)
            notes += checker.result()
            for note in notes:
                say(f"note: {note}")
        if not single:
            written = _as_written(planned, sha, pin)
            (draft / RECIPE).write_text(written.text(), encoding="utf-8")
            text = _card(planned, facts or CardFacts(folder.name), sha)
            (draft / "README.md").write_text(text, encoding="utf-8")
    needs = replace(needs, warnings=(*needs.warnings, *notes))
    return Merged(folder, sha, len(planned.tensors), needs)


def _checked(
    recipe: Recipe, opened: Mapping[str, Checkpoint], say: Callable[[str], None]
) -> dict[str, Checkpoint]:
    """What is open already, and the sources whose hashes the recipe states, opened and compared."""
    checked = dict(opened)
    for name, source in recipe.sources.items():
        if source.weights_sha256 is None or name in opened:
            continue
        opened_source = open_source(source.path, name, say)
        form = form_with_hash(opened_source, source.weights_sha256)
        if form is None:
            actual = opened_source.sha256()
            raise CheckpointError(
                f"{name!r} at {source.path} has weights {actual[:12]}, the recipe was written for "
                f"{source.weights_sha256[:12]}"
            )
        checked[name] = form
    return checked


def _hash(folder: Path, planned: MergePlan) -> str:
    """The hash of the result, read back, after checking its names and shapes against the plan."""
    tensors: dict[str, TensorHeader] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= open_tensors(file).tensors
    wanted = {name: (spec.shape, spec.dtype) for name, spec in planned.tensors.items()}
    if {name: (header.shape, header.dtype) for name, header in tensors.items()} != wanted:
        raise CheckpointError(f"what was read back from {folder} is not what was written there")
    return Checkpoint(folder.name, folder, {}, tensors).sha256()


def _template(planned: MergePlan) -> str | None:
    choice = planned.recipe.output.chat_template
    if choice is None:
        return None
    template = chat_template(choice, [leaf.checkpoint.path for leaf in planned.leaves.values()])
    if template is None:
        raise RecipeError("chat_template: auto, but no source has a chat template")
    return template


def _as_written(planned: MergePlan, sha: str, pin: bool) -> Recipe:
    """The recipe with the hash of what it makes, and with paths that hold from anywhere."""
    recipe = with_paths_from(planned.recipe, Path.cwd())
    sources = {
        name: recipe.sources[name].model_copy(update={"path": leaf.checkpoint.reference})
        if isinstance(leaf.checkpoint, GraftedCheckpoint)
        else recipe.sources[name]
        for name, leaf in planned.leaves.items()
    }
    if pin:
        sources = {
            name: source
            if source.weights_sha256  # stated, so it was checked
            else source.model_copy(
                update={"weights_sha256": planned.leaves[name].checkpoint.sha256()}
            )
            for name, source in sources.items()
        }
    output = recipe.output.model_copy(update={"weights_sha256": sha})
    return recipe.model_copy(update={"sources": {**recipe.sources, **sources}, "output": output})


def _card(planned: MergePlan, facts: CardFacts, sha: str) -> str:
    licences = {name: licence_of(leaf.checkpoint.path) for name, leaf in planned.leaves.items()}
    base = next((step.base for step in planned.recipe.steps if step.base in planned.leaves), None)
    origins = {
        name: origin_of(planned.recipe.sources[name].path, leaf.checkpoint.config)
        for name, leaf in planned.leaves.items()
    }
    return render_card(planned.recipe, facts, licences, sha, base, origins)
