"""Exporting a model of the archive as a recipe, or as a plain transformers checkpoint."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from lineage import Archive
from lineage.drawing import plain
from lineage.drawing.tree import tree
from lineage.queries.family import family_of
from lineage.records import Model
from population.campaign.context import Context, genome_of
from population.campaign.kept_weights import with_sha256
from population.errors import PopulationError
from population.evolution.spaces.methods import MethodSpace
from population.evolution.spaces.parameter import ParameterSpace
from population.merging.engine import Progress
from population.merging.merge import Merged, merge
from population.merging.model_card import CardFacts
from population.merging.recipe import Blocks, Recipe, Source
from population.models.gguf_writing import GgufType, check_gguf, write_gguf
from population.models.grafts import part_that_merges
from population.weights.genomes import recipe_of, route_recipe
from population.weights.method_recipes import method_recipe


def recipe_of_model(archive: Archive, context: Context, model: Model) -> Recipe:
    """The recipe of a model, founder or offspring, living or fossil, with its weights' SHA-256.

    Raises:
        CheckpointError: it has no SHA-256 yet, and its recipe makes other weights than were born.
    """
    hashes, model = archive.founder_hashes(), with_sha256(archive, context, model)
    sources = [
        Source(path=path, weights_sha256=hashes[founder])
        for founder, path in archive.founder_paths().items()
    ]
    search, basis, layout = context.config.search, context.factory.basis, context.factory.layout
    part = part_that_merges(context.founders)
    cut = Blocks(granularity=search.blocks, groups=search.groups, part=part)
    genome, space = genome_of(archive, context, model), context.factory.space
    if isinstance(space, MethodSpace):
        recipe = method_recipe(basis, layout, cut, space, genome, sources)
    elif isinstance(space, ParameterSpace):
        recipe = recipe_of(basis, layout, cut, space.coefficients(genome), sources)
    else:
        recipe = route_recipe(basis, layout, cut, space, genome, sources)
    output = recipe.output.model_copy(update={"weights_sha256": model.weights_sha256})
    return recipe.model_copy(update={"output": output})


def export(
    archive: Archive,
    context: Context,
    model: Model,
    folder: Path,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Merged:
    """Write a model with its tokenizer, its recipe and a model card.

    The folder appears complete or not at all.

    Args:
        archive: where the model is.
        context: of that archive; its founders were checked by hash.
        model: founder or offspring, living or fossil.
        folder: where to write; must not exist, or be empty.
        progress: called with (bytes done, bytes in all, what).
        say: called with a line before what takes long, and with notes for the user.

    Raises:
        PopulationError: the folder is in use or cannot be written.
        CheckpointError: the weights are not those that were committed.
    """
    founders = {founder.name: founder for founder in context.founders}
    return merge(
        recipe_of_model(archive, context, model),
        folder,
        facts=_facts(archive, model),
        threads=context.config.run.threads,
        opened=founders,
        progress=progress,
        say=say,
    )


def export_gguf(
    archive: Archive,
    context: Context,
    model: Model,
    target: Path,
    kind: GgufType,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a model as a GGUF file, with its tokenizer; see `write_gguf`.

    Args:
        archive: where the model is.
        context: of that archive; its founders were checked by hash.
        model: founder or offspring, living or fossil.
        target: the file; must not exist. A checkpoint lies beside it meanwhile.
        kind: how matrices are stored.
        progress: called with (bytes done, bytes in all, what).
        say: called with a line before what takes long, and with notes for the user.

    Raises:
        PopulationError: the file is there already or cannot be written, or a package is missing.
        CheckpointError: the weights are not those that were committed, or GGUF is not written of
            such models.
    """
    check_gguf(context.founders[0].path, target)
    try:
        beside = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise PopulationError(f"{target} cannot be written: {error}") from None
    with beside as folder:
        checkpoint = Path(folder) / "checkpoint"
        export(archive, context, model, checkpoint, progress, say)
        write_gguf(checkpoint, target, kind, progress)


def _facts(archive: Archive, model: Model) -> CardFacts:
    scores = {
        split: {task: exact for task, (exact, _) in means[model.id].items()}
        for split in ("search", "selection")
        if model.id in (means := archive.task_means(split, [model.id]))
    }
    if model.kind == "founder":
        return CardFacts(model.label, "A founder of a colony.", scores=scores)
    descent = archive.ancestry()
    family = family_of(archive, [model.id, *descent.ancestors(model.id, 3).tolist()], descent)
    return CardFacts(
        model.label,
        f"Bred in a colony: {model.operator}, generation {model.generation}.",
        plain(tree(family, model.id, depth=3)),
        scores,
    )
