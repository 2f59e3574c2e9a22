"""Running a merge: opens the sources, builds the graph, writes the files tensor by tensor."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lineage.cleanup import afterwards
from population.errors import CheckpointError, RecipeError
from population.families import family_of
from population.merging.backends import Backend, backend_for
from population.merging.graph import Assembly, MergeStep, RouteNode
from population.merging.lazy_tensors import matrix_shape, row_spans
from population.merging.nodes import Node, Spec, clear_thread_cache
from population.merging.recipe import ASSEMBLE, Recipe
from population.merging.source_alignment import align_sources
from population.merging.source_nodes import (
    Leaf,
    Vocabularies,
    VocabularyAlignedSource,
    common_vocabulary,
)
from population.merging.writer import Shards
from population.models.canonical_form import with_equal_prefixes
from population.models.checkpoints import Checkpoint
from population.models.compatibility import same_vocabulary
from population.models.dtypes import BY_NAME, Dtype, all_finite
from population.models.grafts import frame_among, graft
from population.models.sources import open_source
from population.models.tokenizer_files import has_tokenizer

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class MergePlan:
    """A merge, ready to run.

    Attributes:
        recipe: what is merged.
        leaves: the sources, opened, by name.
        result: the last step.
        tensors: the tensors that will be written, by name.
        vocabularies: set if the sources' vocabularies had to be aligned.
        aligned: the sources as they take part: with one vocabulary, and the same tensors.
        nodes: these and the steps, by name.
    """

    recipe: Recipe
    leaves: Mapping[str, Leaf]
    result: Node
    tensors: Mapping[str, Spec]
    vocabularies: Vocabularies | None
    aligned: Mapping[str, Leaf]
    nodes: Mapping[str, Node]

    @property
    def reference(self) -> Leaf:
        """The source of config and tokenizer: the first input of the last step, followed down."""
        steps = {step.name: step for step in self.recipe.steps}
        name = self.recipe.steps[-1].name
        while name in steps:
            name = steps[name].uses()[0]
        return self.leaves[name]


def plan(
    recipe: Recipe,
    say: Callable[[str], None] = lambda _: None,
    opened: Mapping[str, Checkpoint] | None = None,
) -> MergePlan:
    """Open the sources of a recipe and build the graph; no weight is read.

    Args:
        recipe: what to merge.
        say: called with a line before what takes long.
        opened: sources that are open already, by name.

    Raises:
        CheckpointError: a source is missing, broken, or does not fit the others.
        RecipeError: the recipe needs something that these sources do not have.
    """
    used = _used(recipe)
    checkpoints = {
        name: (opened or {}).get(name) or open_source(source.path, name, say)
        for name, source in recipe.sources.items()
        if name in used
    }
    renamed = with_equal_prefixes(_in_one_frame(recipe, checkpoints))
    leaves = {
        name: Leaf(name, checkpoint) for name, checkpoint in zip(checkpoints, renamed, strict=True)
    }
    vocabularies = _vocabularies(recipe, leaves)
    sources: Mapping[str, Leaf] = leaves
    if vocabularies is not None:
        sources = {
            name: VocabularyAlignedSource(leaf, vocabularies) for name, leaf in leaves.items()
        }
    # Layers that are merged with others than their own need not agree on such buffers.
    sources = align_sources(sources, keep_buffers=not any(step.slices for step in recipe.steps))
    _share_tensors(sources.values())
    nodes: dict[str, Node] = dict(sources)
    for step in recipe.steps:
        if step.name not in used:
            continue
        if step.method == "route":
            nodes[step.name] = RouteNode(step, nodes)
        elif step.method == ASSEMBLE:
            nodes[step.name] = Assembly(step, nodes)
        else:
            nodes[step.name] = MergeStep(step, nodes, compat=recipe.mergekit_compat)
    result = nodes[recipe.steps[-1].name]
    output_dtype = BY_NAME[recipe.output.dtype] if recipe.output.dtype else None
    tensors = {
        name: Spec(
            spec.shape, output_dtype if output_dtype and name not in result.copied else spec.dtype
        )
        for name, spec in result.tensors.items()
    }
    return MergePlan(recipe, leaves, result, tensors, vocabularies, sources, nodes)


def _in_one_frame(recipe: Recipe, checkpoints: Mapping[str, Checkpoint]) -> list[Checkpoint]:
    """The sources; language models among vision-language models stand in the frame of one of them.

    That is the base, or the first.
    """
    opened, base = list(checkpoints.values()), _base(recipe, list(checkpoints))
    families = [family_of(checkpoint.config) for checkpoint in opened]
    frame = frame_among(opened, base)
    if frame is None or all(family.composed for family in families):
        return opened
    return [
        checkpoint if family.composed or not checkpoint.config else graft(frame, checkpoint)
        for checkpoint, family in zip(opened, families, strict=True)
    ]


def _share_tensors(leaves: Iterable[Leaf]) -> None:
    """Give leaves with equal tensors the same object: comparing a thousand steps gets cheap."""
    distinct: list[Mapping[str, Spec]] = []
    for leaf in leaves:
        leaf.tensors = next((other for other in distinct if other == leaf.tensors), leaf.tensors)
        distinct.append(leaf.tensors)


def _used(recipe: Recipe) -> set[str]:
    """The names of the sources and steps that the result depends on."""
    used = {recipe.steps[-1].name}
    for step in reversed(recipe.steps):
        if step.name in used:
            used |= set(step.uses())
    return used


def _vocabularies(recipe: Recipe, leaves: Mapping[str, Leaf]) -> Vocabularies | None:
    ordered = list(leaves.values())
    with_tokenizer = [
        leaf for leaf in ordered if leaf.config and has_tokenizer(leaf.checkpoint.path)
    ]
    choice = recipe.output.tokenizer
    if choice is not None and len(with_tokenizer) < len(ordered):
        without = next(leaf for leaf in ordered if leaf not in with_tokenizer)
        raise RecipeError(f"tokenizer: {without.name!r} has none that could be brought to another")
    if len(with_tokenizer) < 2 and choice is None:
        return None
    if choice is None:
        first = with_tokenizer[0].checkpoint
        for other in with_tokenizer[1:]:
            if not same_vocabulary(first, other.checkpoint):
                raise CheckpointError(
                    f"{other.name!r} has another tokenizer than {first.name!r}, so the same row of "
                    "their embeddings means different tokens; choose whose it should be: "
                    '"tokenizer": {"source": "union"} (or "base", or a source) in "output", '
                    "tokenizer_source in YAML"
                )
        return None
    base = _base(recipe, list(leaves))
    vocabularies = common_vocabulary(ordered, base, choice)
    return None if vocabularies.alignment.identical else vocabularies


def _base(recipe: Recipe, names: list[str]) -> int | None:
    for step in reversed(recipe.steps):
        if step.base in names:
            return names.index(step.base)
    return None


def run(
    planned: MergePlan,
    folder: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    shard: int | None = None,
    progress: Progress = lambda *_: None,
) -> None:
    """Compute all tensors of a plan and write them as safetensors into a folder.

    Args:
        planned: what to compute.
        folder: where to write; exists.
        device: "auto" and "cpu" compute with numpy, others with torch.
        threads: tensors at a time on the CPU; all cores by default.
        shard: bytes per file at most.
        progress: called with (bytes done, bytes in all, what); may raise to stop.

    Raises:
        CheckpointError: the result holds NaN or infinity.
    """
    backend = backend_for(device)
    tensors = planned.tensors
    files = Shards(folder, tensors) if shard is None else Shards(folder, tensors, shard)
    largest_first = sorted(tensors, key=lambda name: -tensors[name].size)
    total, done = sum(spec.size for spec in tensors.values()), 0
    workers = 1 if device not in {"auto", "cpu"} else threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers)
    with afterwards(files.abandon), afterwards(lambda: pool.shutdown(cancel_futures=True)):
        jobs = {
            pool.submit(_fill, planned, name, backend, files): tensors[name].size
            for name in largest_first
        }
        for job in as_completed(jobs):
            job.result()
            done += jobs[job]
            progress(done, total, "merging")
        files.close()


def _fill(planned: MergePlan, name: str, backend: Backend, files: Shards) -> None:
    spec = planned.tensors[name]
    if name in planned.result.copied:
        node, tensor = planned.result.copy_of(name)
        assert isinstance(node, Leaf)
        files.write(name, 0, node.checkpoint.raw(tensor))
        return
    if spec.size == 0:
        return
    operand = planned.result.lazy_tensor(name, backend)
    rows, columns = matrix_shape(spec.shape)
    for start, stop in row_spans(rows, columns, backend.chunk):
        values, finite = backend.get(operand.read(start, stop), spec.dtype)
        if not finite:
            raise CheckpointError(_not_finite(planned, name, spec.dtype))
        files.write(name, start * columns * spec.dtype.size, values)
    operand.release()
    clear_thread_cache()


def _not_finite(planned: MergePlan, name: str, dtype: Dtype) -> str:
    """The message for a result with NaN or infinity; names the broken source if there is one."""
    for leaf in planned.leaves.values():
        if name in leaf.checkpoint.tensors and not all_finite(
            leaf.checkpoint.raw(name), leaf.checkpoint.tensors[name].dtype
        ):
            return f"{leaf.name!r}: {name} holds NaN or infinity; this checkpoint is broken"
    return (
        f"the merge of {name} does not fit {dtype.name} (it overflows, or divides by 0); use "
        "smaller weights or a wider dtype"
    )
