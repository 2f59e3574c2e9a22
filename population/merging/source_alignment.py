"""Sources brought to the same tensors, so that a result does not depend on which is named first.

Two checkpoints of one architecture may differ in what they store without differing in what they
are: one ties its head to its embeddings, the other stores a head of its own; one counts batches,
the other was saved before that was done; one holds buffers that transformers computes by itself.
Here

- a head of its own in any source gives every other source one too, which is its embeddings, and
  the result stores it;
- a head that is stored although it is tied is left out, unless all sources store theirs;
- buffers that transformers does not load stay only if all sources have the same;
- counters, masks and indices that a source lacks are those of the sources that have them.

Real weights are not touched: the base, or the first model, says which there are.
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
    """A source with other tensors than it stores.

    Args:
        leaf: the source.
        dropped: tensors that it shall not have.
        lent: tensors that it shall have besides, and where they come from.
        head: whether the config has to say that the head is its own.
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
        return untied_config(self._leaf.config) if self._head else self._leaf.config

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        own = {n: spec for n, spec in self._leaf.tensors.items() if n not in self._dropped}
        lent = {name: donor.tensors[tensor] for name, (donor, tensor) in self._lent.items()}
        return own | lent

    @cached_property
    def copied(self) -> Set[str]:
        lent = {name for name, (donor, tensor) in self._lent.items() if tensor in donor.copied}
        return (self._leaf.copied - self._dropped) | lent

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.lazy_tensor(name, backend)

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.copy_of(name)


def align_sources(leaves: Mapping[str, Leaf], *, keep: bool = True) -> dict[str, Leaf]:
    """Sources that have the same tensors, apart from real weights; see the module's docstring.

    Args:
        leaves: the sources, by name.
        keep: whether buffers that transformers does not load may stay, where all have the same.
    """
    sources = list(leaves.values())
    if len(sources) < 2:
        return dict(leaves)
    dropped: list[set[str]] = [set() for _ in sources]
    lent: list[dict[str, tuple[Leaf, str]]] = [{} for _ in sources]
    _share_copied(sources, dropped, lent, keep=keep)
    head = _share_heads(sources, dropped, lent)
    return {
        name: TensorAlignedSource(leaf, frozenset(gone), more, head=head)
        if gone or more or head
        else leaf
        for (name, leaf), gone, more in zip(leaves.items(), dropped, lent, strict=True)
    }


def _share_copied(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    lent: Sequence[dict[str, tuple[Leaf, str]]],
    *,
    keep: bool,
) -> None:
    """Buffers that are not loaded go unless all have the same; what is only copied is lent."""
    ignored = [leaf.ignored for leaf in sources]
    everywhere = frozenset.intersection(*ignored)
    keep = keep and all(names == everywhere for names in ignored)
    if not keep or any(len({leaf.digest(n) for leaf in sources}) > 1 for n in everywhere):
        for gone, names in zip(dropped, ignored, strict=True):
            gone.update(names)
    if any(not leaf.config for leaf in sources):
        return
    indices = {name: leaf for leaf in reversed(sources) for name in leaf.copied - leaf.ignored}
    for leaf, more in zip(sources, lent, strict=True):
        missing = indices.keys() - leaf.tensors.keys()
        more |= {name: (indices[name], name) for name in indices if name in missing}


def _share_heads(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    lent: Sequence[dict[str, tuple[Leaf, str]]],
) -> bool:
    """Every source gets a head of its own, or none has one; whether some only got it here."""
    ties = [tie_of(leaf.checkpoint) for leaf in sources]
    heads = [head_of(leaf) for leaf in sources]
    known = [name for name in heads if name is not None]
    if not known:
        return False
    own = [head is not None and tie is None for head, tie in zip(heads, ties, strict=True)]
    if any(own):
        for leaf, tie, head, more in zip(sources, ties, heads, lent, strict=True):
            if head is None and tie is not None:
                more[known[0]] = leaf, tie.embeddings
        return not all(own)
    if len(known) < len(sources):
        for name, gone in zip(heads, dropped, strict=True):
            gone.update([] if name is None else [name])
    return False


def head_of(leaf: Node) -> str | None:
    """The weight of a model's head, if it is stored."""
    architecture = architecture_of(leaf.config)
    pattern = HEAD if architecture is None else architecture.head
    return next(
        (name for name in leaf.tensors if name.endswith(".weight") and re.fullmatch(pattern, name)),
        None,
    )
