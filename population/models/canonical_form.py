"""Checkpoints of one architecture brought to the same tensors by the same names.

Files of one architecture may call the same tensors by names with or without what stands before all
of them (`model.layers.0`, `layers.0`), store a tied head or not, hold buffers that transformers
computes by itself, or tensors without a single element. None of that makes another model, and
nothing may depend on which of them is named first.

A founder whose files need none of that is taken as it is, with the hash that it always had. So a
founder has a few forms, and an archive's hash says which of them was bred from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from population.models.architectures import architecture_of
from population.models.checkpoints import Checkpoint
from population.models.tensor_kinds import TensorKind, tensor_kinds
from population.models.tied_heads import tie_of, with_head, without_head

# What training wraps a model in, and transformers does not expect.
_WRAPPERS = ("module.", "_orig_mod.", "base_model.model.")


def with_equal_tensors(founders: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The founders of a colony with equal names for equal things, whatever their order."""
    names = {frozenset(founder.tensors) for founder in founders}
    plain = [canonical(founder) for founder in founders]
    # A tied head that all of them store may stay: networks take it, and old archives have it.
    if len(names) == 1 and all(
        founder.tensors.keys() - form.tensors.keys() <= _tied_head(founder)
        and form.tensors.keys() <= founder.tensors.keys()
        for founder, form in zip(founders, plain, strict=True)
    ):
        return list(founders)
    return plain


def form_like(reference: Checkpoint, other: Checkpoint) -> Checkpoint:
    """The form of a checkpoint that has the tensors of another one; as it is, if there is none."""
    wanted = reference.tensors.keys()
    return next((form for form in _forms(other) if form.tensors.keys() == wanted), other)


def form_with_hash(
    checkpoint: Checkpoint, sha256: str, hashed: Callable[[Checkpoint], str] = Checkpoint.sha256
) -> Checkpoint | None:
    """The form of a checkpoint whose weights have a hash, or None.

    Args:
        checkpoint: opened.
        sha256: what its weights shall have.
        hashed: finds the hash of a form; by default, by reading it.
    """
    return next((form for form in _forms(checkpoint) if hashed(form) == sha256), None)


def _forms(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    yield checkpoint
    plain = canonical(checkpoint)
    if plain is not checkpoint:
        yield plain
    if (tie := tie_of(plain)) is not None:
        yield with_head(plain, tie)


def canonical(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint as transformers would save it: what it computes or ties is not stored.

    A bare file, without a config, stays as it is: nothing says what its names mean.
    """
    if not checkpoint.config:
        return checkpoint
    found = without_wrappers(checkpoint)
    kinds = tensor_kinds(found.tensors, found.config)
    prefix = _lacking_prefix(found)
    names = {
        prefix + name if _takes(prefix, name) and prefix + name not in found.tensors else name: name
        for name, header in found.tensors.items()
        if kinds[name] is not TensorKind.IGNORED and header.parameters
    }
    if any(new != old for new, old in names.items()) or len(names) < len(found.tensors):
        found = found.renamed(names, found.config)
    tie = tie_of(found)
    return found if tie is None or tie.head not in found.tensors else without_head(found, tie)


def with_equal_prefixes(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The same models, all of them with what stands before the names of any.

    Nothing but names is changed. Bare files stay as they are.
    """
    described = [checkpoint for checkpoint in checkpoints if checkpoint.config]
    found = [without_wrappers(checkpoint) for checkpoint in described]
    for longer in list(found):
        for place, shorter in enumerate(found):
            prefix = _prefix_between(longer.tensors, shorter.tensors)
            if prefix is not None:
                names = _prefixed(longer.tensors, shorter.tensors, prefix)
                found[place] = shorter.renamed(names, shorter.config)
    changed = iter(found)
    return [next(changed) if checkpoint.config else checkpoint for checkpoint in checkpoints]


def without_wrappers(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint without what stands before all of its names but belongs to no architecture."""
    names = {name: name for name in checkpoint.tensors}
    while wrapper := next((w for w in _WRAPPERS if all(n.startswith(w) for n in names)), None):
        if not names:
            break
        names = {name.removeprefix(wrapper): old for name, old in names.items()}
    if all(new == old for new, old in names.items()):
        return checkpoint
    return checkpoint.renamed(names, checkpoint.config)


def _tied_head(checkpoint: Checkpoint) -> set[str]:
    tie = tie_of(checkpoint)
    return set() if tie is None else {tie.head}


def _lacking_prefix(checkpoint: Checkpoint) -> str:
    """What transformers puts before the names of a model that was saved without its head."""
    architecture = architecture_of(checkpoint.config)
    if architecture is None or architecture.embedding not in checkpoint.tensors:
        return ""
    stated = re.fullmatch(r"\(\?:(\w+)\\\.\)\?", architecture.base)
    return f"{stated[1]}." if stated else ""


def _takes(prefix: str, name: str) -> bool:
    """Whether a name without prefix belongs to what the prefix stands for: not if it is a head."""
    return bool(prefix) and not name.startswith((prefix, "lm_head.", "embed_out.", "score."))


def _prefix_between(longer: Mapping[str, object], shorter: Mapping[str, object]) -> str | None:
    """What stands before the names of one checkpoint and not before those of the other.

    None if nothing does, or if that does not make most of its names equal.
    """
    foreign = [name for name in shorter if name not in longer]
    if not foreign:
        return None
    # The longest name is in the deepest module, and the least likely to end like another one.
    probe = max(foreign, key=lambda name: (name.count("."), len(name), name))
    for name in sorted(longer, key=len):
        if not name.endswith(f".{probe}"):
            continue
        prefix = name.removesuffix(probe)
        fitting = sum(
            f"{prefix}{other}" in longer and f"{prefix}{other}" not in shorter for other in foreign
        )
        if 2 * fitting > len(shorter):
            return prefix
    return None


def _prefixed(
    longer: Mapping[str, object], shorter: Mapping[str, object], prefix: str
) -> dict[str, str]:
    """The names of the shorter spelling by those of the longer one."""
    names = {}
    for name in shorter:
        full = f"{prefix}{name}"
        fits = name not in longer and full in longer and full not in shorter
        names[full if fits else name] = name
    return names
