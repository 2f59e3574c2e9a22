"""Aligning sources: the same tensors in all, so that no result depends on which is named first.

Two checkpoints of one architecture may differ in what they store without differing in what they
are: one ties its head to its embeddings, the other stores a head of its own; one counts batches,
the other was saved before that was done; one holds buffers that transformers computes by itself.
Here

- a head of its own in any source gives every other source one too, which is its embeddings, and
  the result stores it;
- a head that is stored although it is tied is left out, unless all sources store theirs;
- buffers that transformers does not load stay only if all sources have the same;
- counters, masks and indices that a source lacks are those of the sources that have them.

Weights are not touched: the base, or the first model, decides which there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import Any

from population.merging.backends import Backend
from population.merging.lazy_tensors import LazyTensor
from population.merging.nodes import Node, Spec
from population.merging.source_nodes import Leaf
from population.models.architectures import architecture_of
from population.models.tied_heads import tie_of, untied_config

HEAD = r"lm_head\.weight"


class TensorAlignedSource(Leaf):
    """A source that drops some of its tensors and borrows others.

    Args:
        leaf: the source.
        dropped: tensors that it shall not have.
        lent: tensors that it shall have besides, with the source and tensor that each comes from.
        head: whether the config has to state an untied head.
    """

    def __init__(
        self,
        leaf: Leaf,
        dropped: frozenset[str],
        lent: Mapping[str, tuple[Leaf, str]],
        *,
        head: bool,
    ) -> None:
        super().__init__(leaf.name, leaf.checkpoint)
        self._leaf, self._dropped, self._lent, self._head = leaf, dropped, dict(lent), head

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The source's config; untied if the head was made its own."""
        return untied_config(self._leaf.config) if self._head else self._leaf.config

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        """Its own tensors that are kept, and the borrowed ones."""
        kept = {n: spec for n, spec in self._leaf.tensors.items() if n not in self._dropped}
        borrowed = {name: donor.tensors[tensor] for name, (donor, tensor) in self._lent.items()}
        return kept | borrowed

    @cached_property
    def copied(self) -> Set[str]:
        """The tensors that are no weights, borrowed ones included."""
        borrowed = {name for name, (donor, tensor) in self._lent.items() if tensor in donor.copied}
        return (self._leaf.copied - self._dropped) | borrowed

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor, read from where it comes from."""
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.lazy_tensor(name, backend)

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """The source and name that a tensor is copied from."""
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.copy_of(name)


def align_sources(leaves: Mapping[str, Leaf], *, keep_buffers: bool = True) -> dict[str, Leaf]:
    """Sources with the same tensors, apart from weights; see the module's docstring.

    Args:
        leaves: the sources, by name.
        keep_buffers: whether buffers that transformers does not load may stay, where all sources
            have the same.
    """
    sources = list(leaves.values())
    if len(sources) < 2:
        return dict(leaves)
    dropped: list[set[str]] = [set() for _ in sources]
    borrowed: list[dict[str, tuple[Leaf, str]]] = [{} for _ in sources]
    _share_copied(sources, dropped, borrowed, keep_buffers=keep_buffers)
    own_head = _share_heads(sources, dropped, borrowed)
    return {
        name: TensorAlignedSource(leaf, frozenset(dropped_here), borrowed_here, head=own_head)
        if dropped_here or borrowed_here or own_head
        else leaf
        for (name, leaf), dropped_here, borrowed_here in zip(
            leaves.items(), dropped, borrowed, strict=True
        )
    }


def _share_copied(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    borrowed: Sequence[dict[str, tuple[Leaf, str]]],
    *,
    keep_buffers: bool,
) -> None:
    """Buffers that are not loaded go unless all have the same; what is only copied is lent."""
    ignored = [leaf.ignored for leaf in sources]
    in_all = frozenset.intersection(*ignored)
    keep_buffers = keep_buffers and all(names == in_all for names in ignored)
    if not keep_buffers or any(len({leaf.digest(n) for leaf in sources}) > 1 for n in in_all):
        for dropped_here, names in zip(dropped, ignored, strict=True):
            dropped_here.update(names)
    if any(not leaf.config for leaf in sources):
        return
    indices = {name: leaf for leaf in reversed(sources) for name in leaf.copied - leaf.ignored}
    for leaf, borrowed_here in zip(sources, borrowed, strict=True):
        missing = indices.keys() - leaf.tensors.keys()
        borrowed_here |= {name: (indices[name], name) for name in indices if name in missing}


def _share_heads(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    borrowed: Sequence[dict[str, tuple[Leaf, str]]],
) -> bool:
    """Every source gets a head of its own, or none has one; whether some only got it here."""
    ties = [tie_of(leaf.checkpoint) for leaf in sources]
    heads = [head_of(leaf) for leaf in sources]
    stored = [name for name in heads if name is not None]
    if not stored:
        return False
    untied = [head is not None and tie is None for head, tie in zip(heads, ties, strict=True)]
    if any(untied):
        for leaf, tie, head, borrowed_here in zip(sources, ties, heads, borrowed, strict=True):
            if head is None and tie is not None:
                borrowed_here[stored[0]] = leaf, tie.embeddings
        return not all(untied)
    if len(stored) < len(sources):
        for name, dropped_here in zip(heads, dropped, strict=True):
            dropped_here.update([] if name is None else [name])
    return False


def head_of(leaf: Node) -> str | None:
    """The name of a model's head weight; None if it is not stored."""
    architecture = architecture_of(leaf.config)
    pattern = HEAD if architecture is None else architecture.head
    return next(
        (name for name in leaf.tensors if name.endswith(".weight") and re.fullmatch(pattern, name)),
        None,
    )
