"""One set of tensors, under the same names, for checkpoints of one architecture.

Files of one architecture may use tensor names with or without a common prefix (`model.layers.0`,
`layers.0`), store a tied head or not, hold buffers that transformers computes by itself, or tensors
without a single element. None of that makes another model, and nothing may depend on which of them
is named first.

A founder whose files need none of that is taken as it is, with the hash that it always had. So a
founder has a few forms, and an archive's hash tells which of them was bred from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from population.models.architectures import architecture_of
from population.models.checkpoints import Checkpoint
from population.models.tensor_kinds import TensorKind, tensor_kinds
from population.models.tied_heads import tie_of, with_head, without_head

# Prefixes of training wrappers, which transformers does not expect.
_WRAPPERS = ("module.", "_orig_mod.", "base_model.model.")


def with_equal_tensors(founders: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The founders with equal tensor names, whatever their order; in canonical form if needed."""
    name_sets = {frozenset(founder.tensors) for founder in founders}
    canonical_forms = [canonical(founder) for founder in founders]
    # A tied head that all of them store may stay: networks take it, and old archives have it.
    if len(name_sets) == 1 and all(
        founder.tensors.keys() - form.tensors.keys() <= _tied_head(founder)
        and form.tensors.keys() <= founder.tensors.keys()
        for founder, form in zip(founders, canonical_forms, strict=True)
    ):
        return list(founders)
    return canonical_forms


def form_like(reference: Checkpoint, other: Checkpoint) -> Checkpoint:
    """The form of a checkpoint with the same tensor names as another one.

    Args:
        reference: the checkpoint whose names are wanted.
        other: the checkpoint whose form is wanted.

    Returns:
        The form, or `other` itself if it has no such form.
    """
    wanted_names = reference.tensors.keys()
    return next((form for form in _forms(other) if form.tensors.keys() == wanted_names), other)


def form_with_hash(
    checkpoint: Checkpoint, sha256: str, hashed: Callable[[Checkpoint], str] = Checkpoint.sha256
) -> Checkpoint | None:
    """The form of a checkpoint whose weights have a given hash; None if it has none.

    Args:
        checkpoint: opened.
        sha256: the hash wanted.
        hashed: computes the hash of a form; by default, by reading all of it.
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
    """A checkpoint as transformers would save it: without what it computes or ties.

    A bare file, without a config, stays as it is: nothing tells what its names mean.
    """
    if not checkpoint.config:
        return checkpoint
    renamed = without_wrappers(checkpoint)
    kinds = tensor_kinds(renamed.tensors, renamed.config)
    prefix = _lacking_prefix(renamed)
    names = {
        prefix + name
        if _takes(prefix, name) and prefix + name not in renamed.tensors
        else name: name
        for name, header in renamed.tensors.items()
        if kinds[name] is not TensorKind.IGNORED and header.parameters
    }
    if any(new != old for new, old in names.items()) or len(names) < len(renamed.tensors):
        renamed = renamed.renamed(names, renamed.config)
    tie = tie_of(renamed)
    return renamed if tie is None or tie.head not in renamed.tensors else without_head(renamed, tie)


def with_equal_prefixes(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The same models, with the longest name prefix that any of them has.

    Only names change. Bare files stay as they are.
    """
    with_config = [checkpoint for checkpoint in checkpoints if checkpoint.config]
    renamed = [without_wrappers(checkpoint) for checkpoint in with_config]
    for longer in list(renamed):
        for index, shorter in enumerate(renamed):
            prefix = _prefix_between(longer.tensors, shorter.tensors)
            if prefix is not None:
                names = _prefixed(longer.tensors, shorter.tensors, prefix)
                renamed[index] = shorter.renamed(names, shorter.config)
    renamed_forms = iter(renamed)
    return [next(renamed_forms) if checkpoint.config else checkpoint for checkpoint in checkpoints]


def without_wrappers(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint without the name prefixes that training wrappers add, such as `module.`."""
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
    """The name prefix that transformers adds to a model that was saved without its head."""
    architecture = architecture_of(checkpoint.config)
    if architecture is None or architecture.embedding not in checkpoint.tensors:
        return ""
    optional_prefix = re.fullmatch(r"\(\?:(\w+)\\\.\)\?", architecture.base)
    return f"{optional_prefix[1]}." if optional_prefix else ""


def _takes(prefix: str, name: str) -> bool:
    """Whether a name lacks the prefix; heads never have it."""
    return bool(prefix) and not name.startswith((prefix, "lm_head.", "embed_out.", "score."))


def _prefix_between(longer: Mapping[str, object], shorter: Mapping[str, object]) -> str | None:
    """The prefix that one checkpoint's names have and the other's lack.

    None if there is none, or if adding it does not make most of the names equal.
    """
    only_shorter = [name for name in shorter if name not in longer]
    if not only_shorter:
        return None
    # The longest name is in the deepest module, and the least likely to end like another one.
    deepest = max(only_shorter, key=lambda name: (name.count("."), len(name), name))
    for name in sorted(longer, key=len):
        if not name.endswith(f".{deepest}"):
            continue
        prefix = name.removesuffix(deepest)
        matches = sum(
            f"{prefix}{other}" in longer and f"{prefix}{other}" not in shorter
            for other in only_shorter
        )
        if 2 * matches > len(shorter):
            return prefix
    return None


def _prefixed(
    longer: Mapping[str, object], shorter: Mapping[str, object], prefix: str
) -> dict[str, str]:
    """The names without the prefix, by those with it."""
    names = {}
    for name in shorter:
        prefixed = f"{prefix}{name}"
        is_prefixed = name not in longer and prefixed in longer and prefixed not in shorter
        names[prefixed if is_prefixed else name] = name
    return names
