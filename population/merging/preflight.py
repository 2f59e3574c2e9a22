"""Checks before a merge writes anything: disk, memory, and warnings."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from population.errors import CheckpointError, PopulationError
from population.families import family_of
from population.memory import available_memory
from population.merging.engine import MergePlan
from population.merging.model_card import licence_of
from population.merging.recipe import Choice
from population.merging.source_nodes import Leaf
from population.merging.writer import check_unused
from population.models.architectures import architecture_of
from population.models.checkpoints import Checkpoint
from population.models.compatibility import same_vocabulary
from population.models.config_comparison import config_differences, text_config
from population.models.grafts import graft

OWN_MEMORY = 300 * 10**6
"""Bytes that a merge takes whatever its size."""


@dataclass(frozen=True)
class MergeNeeds:
    """What a merge takes.

    Attributes:
        disk: bytes that will be written.
        memory: bytes of memory at most, about.
        warnings: what is allowed but should be known, a line each.
    """

    disk: int
    memory: int
    warnings: tuple[str, ...]


def preflight(planned: MergePlan, folder: Path) -> MergeNeeds:
    """Check folder, disk and memory, and collect warnings about what fits only by shape.

    Architectures, shapes and tokenizers that cannot be merged are refused earlier, by `plan`.

    Raises:
        PopulationError: the folder is in use, or there is too little disk space or memory.
    """
    check_unused(folder)
    disk = sum(spec.size for spec in planned.tensors.values())
    largest = max((spec.size for spec in planned.tensors.values()), default=0)
    memory = largest * (len(planned.leaves) + 2) + OWN_MEMORY
    existing_parent = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing_parent).free
    if free < disk * 1.01:
        raise PopulationError(
            f"{folder}: needs {format_size(disk)}, but only {format_size(free)} are free on that "
            "disk"
        )
    available = available_memory()
    if available is not None and available < memory:
        raise PopulationError(
            f"merging takes about {format_size(memory)} of memory, but only "
            f"{format_size(available)} are free"
        )
    return MergeNeeds(disk, memory, tuple(_warnings(planned)))


def _warnings(planned: MergePlan) -> list[str]:
    warnings: list[str] = []
    reference = planned.reference.checkpoint
    for leaf in planned.leaves.values():
        warnings += setting_differences(reference, leaf.checkpoint)
    if not any(step.slices or step.method == "route" for step in planned.recipe.steps):
        warnings += [
            warning
            for leaf in planned.aligned.values()
            for warning in _left_out(planned.aligned[planned.reference.name], leaf)
        ]
    warnings += _idle_filters(planned)
    dtypes = sorted({leaf.checkpoint.dtype.name for leaf in planned.leaves.values()})
    if len(dtypes) > 1:
        warnings.append(f"the sources have different dtypes: {', '.join(dtypes)}")
    licences = {licence_of(leaf.checkpoint.path) for leaf in planned.leaves.values()} - {None}
    if len(licences) > 1:
        names = ", ".join(sorted(str(licence) for licence in licences))
        warnings.append(
            f"the sources have different licences ({names}); all of them bind the merge"
        )
    return warnings


def _idle_filters(planned: MergePlan) -> list[str]:
    """Filters that match no tensor, which are misspelt more often than not."""
    warnings = []
    for step in planned.recipe.steps:
        parameter_sets = [step.parameters, *(model.parameters for model in step.models)]
        for slice_ in step.slices:
            parameter_sets += [slice_.parameters, *(source.parameters for source in slice_.sources)]
        filters = dict.fromkeys(
            choice.filter
            for parameters in parameter_sets
            for setting in parameters.values()
            for choice in (setting if isinstance(setting, list) else [setting])
            if isinstance(choice, Choice) and choice.filter not in {None, "*"}
        )
        names = planned.nodes[step.name].tensors if step.name in planned.nodes else ()
        warnings += [
            f"step {step.name!r}: the filter {text!r} is in no tensor's name, so it sets nothing"
            for text in filters
            if names and not any(str(text) in name for name in names)
        ]
    return warnings


def _left_out(reference: Leaf, other: Leaf) -> list[str]:
    """What a model has beside the tensors that are merged."""
    extra = sorted(other.tensors.keys() - reference.tensors.keys())
    if not extra:
        return []
    more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
    return [
        f"{other.name!r} has {extra[0]}{more}, which {reference.name!r} has not; the merge leaves "
        "that out"
    ]


def setting_differences(reference: Checkpoint, other: Checkpoint) -> list[str]:
    """Warnings about config settings in which two models differ, a line each."""
    if not reference.config or not other.config:
        return []
    return [
        f"{other.name!r} has {difference.key} {_short(difference.second)}, {reference.name!r} has "
        f"{_short(difference.first)}; the merge takes {_short(difference.first)}"
        for difference in config_differences(reference.config, other.config)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def format_size(size: float) -> str:
    """Bytes as text.

    >>> format_size(2.5e9), format_size(3e6)
    ('2.5 GB', '3 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


@dataclass(frozen=True)
class Profile:
    """The facts about a checkpoint that `colony inspect` shows.

    Attributes:
        name: of the checkpoint.
        architecture: its model_type.
        layers: how many; None if unknown.
        hidden: width of the residual stream; None if unknown.
        vocabulary: tokens that the config states.
        tied: whether the config ties the head to the embeddings.
        dtype: of most parameters.
        parameters: how many.
        size: bytes of all tensors.
        files: weight files.
        licence: that its card states.
        fits: whether it can be merged with the reference, or why not.
    """

    name: str
    architecture: str
    layers: int | None
    hidden: int | None
    vocabulary: int | None
    tied: bool
    dtype: str
    parameters: int
    size: int
    files: int
    licence: str | None
    fits: str


def profile(checkpoint: Checkpoint, reference: Checkpoint) -> Profile:
    """Describe a checkpoint, and whether it can be merged with a reference."""
    config: Mapping[str, Any] = checkpoint.config
    architecture = architecture_of(config)
    text = text_config(config)
    return Profile(
        name=checkpoint.name,
        architecture=str(config.get("model_type", "by tensor names")),
        layers=None if architecture is None else architecture.layers(config),
        hidden=text.get("hidden_size") or text.get("n_embd"),
        vocabulary=text.get("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        dtype=checkpoint.dtype.name,
        parameters=checkpoint.parameters,
        size=sum(header.size for header in checkpoint.tensors.values()),
        files=len({header.file for header in checkpoint.tensors.values()}),
        licence=licence_of(checkpoint.path),
        fits=_fits(reference, checkpoint),
    )


def parts_of(checkpoint: Checkpoint) -> dict[str, int]:
    """The parameters of each part of a model of several; empty for others."""
    family = family_of(checkpoint.config)
    counts: dict[str, int] = {}
    for name, header in checkpoint.tensors.items() if family.composed else ():
        part = family.part_of(name)
        counts[part] = counts.get(part, 0) + header.parameters
    return dict(sorted(counts.items()))


def _fits(reference: Checkpoint, other: Checkpoint) -> str:
    """Whether two checkpoints can be merged, and if not, the first reason."""
    if other is reference:
        return "is compared with"
    if reference.config and other.config:
        composed = [family_of(one.config).composed for one in (reference, other)]
        if composed == [True, False]:
            return _fits_into(reference, other)
        if composed == [False, True]:
            return _fits_into(other, reference)
    return _fits_whole(reference, other)


def _fits_into(frame: Checkpoint, other: Checkpoint) -> str:
    """Whether a language model can be merged with the language part of another model."""
    try:
        graft(frame, other)
    except CheckpointError as error:
        return f"no: {error}"
    return f"yes, the {family_of(frame.config).merged}"


def _fits_whole(reference: Checkpoint, other: Checkpoint) -> str:
    expected, actual = reference.tensors, other.tensors
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual or name not in expected:
            return f"no: {'lacks' if name in expected else 'has besides'} {name}"
        if expected[name].shape != actual[name].shape:
            shapes = f"{list(actual[name].shape)} for {list(expected[name].shape)}"
            return f"no: {name} is {shapes}"
    try:
        if reference.config and other.config and not same_vocabulary(reference, other):
            return "yes, with a tokenizer source: other tokens"
    except CheckpointError as error:
        return f"no: {error}"
    differing = len(setting_differences(reference, other))
    return f"yes, {differing} settings differ" if differing else "yes"
