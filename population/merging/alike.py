"""Sources brought to the same tensors, so that a result does not depend on which is named first.

Two checkpoints of one architecture may differ in what they store without differing in what they
are: one ties its head to its embeddings, the other stores a head of its own; one was saved when
buffers were still written, the other after that; one counts batches. Here

- a head of its own in any source gives every other source one too, which is its embeddings, and
  the result stores it;
- a head that is stored although it is tied is left out, unless all sources store theirs;
- buffers that transformers ignores stay only if all sources have the same, to the bit;
- counters, masks and indices that a source lacks are those of the sources that have them.

Real weights are not touched: the base, or the first model, says which there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from population.architectures import architecture_of
from population.merging.backends import Backend
from population.merging.leaves import Leaf
from population.merging.nodes import Node, Spec
from population.merging.operands import Operand
from population.tensor_kinds import TensorKind

HEAD = r"lm_head\.weight"


class Aligned(Leaf):
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
        return untied(self._leaf.config) if self._head else self._leaf.config

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        own = {n: spec for n, spec in self._leaf.tensors.items() if n not in self._dropped}
        lent = {name: donor.tensors[tensor] for name, (donor, tensor) in self._lent.items()}
        return own | lent

    @cached_property
    def copied(self) -> Mapping[str, TensorKind]:
        kinds = {n: kind for n, kind in self._leaf.copied.items() if n not in self._dropped}
        lent = {
            name: donor.copied[tensor]
            for name, (donor, tensor) in self._lent.items()
            if tensor in donor.copied
        }
        return kinds | lent

    def operand(self, tensor: str, backend: Backend) -> Operand:
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.operand(name, backend)

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        donor, name = self._lent.get(tensor, (self._leaf, tensor))
        return donor.copy_of(name)


def aligned(leaves: Mapping[str, Leaf]) -> dict[str, Leaf]:
    """Sources that have the same tensors, apart from real weights; see the module's docstring."""
    sources = list(leaves.values())
    if len(sources) < 2:
        return dict(leaves)
    dropped: list[set[str]] = [set() for _ in sources]
    lent: list[dict[str, tuple[Leaf, str]]] = [{} for _ in sources]
    _share_copied(sources, dropped, lent)
    head = _share_heads(sources, dropped, lent)
    return {
        name: Aligned(leaf, frozenset(gone), more, head=head) if gone or more or head else leaf
        for (name, leaf), gone, more in zip(leaves.items(), dropped, lent, strict=True)
    }


def _share_copied(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    lent: Sequence[dict[str, tuple[Leaf, str]]],
) -> None:
    """Buffers that are ignored go unless they are everywhere the same; the others are lent."""
    ignored = [
        {n for n, kind in leaf.copied.items() if kind is TensorKind.IGNORED} for leaf in sources
    ]
    everywhere = set.intersection(*ignored)
    whole = all(names == everywhere for names in ignored) and all(
        len({leaf.digest(name) for leaf in sources}) == 1 for name in everywhere
    )
    if not whole:
        for gone, names in zip(dropped, ignored, strict=True):
            gone.update(names)
    if any(not leaf.config for leaf in sources):
        return
    indices = {
        name: leaf
        for leaf in reversed(sources)
        for name, kind in leaf.copied.items()
        if kind is TensorKind.INDEX
    }
    for leaf, more in zip(sources, lent, strict=True):
        missing = indices.keys() - leaf.tensors.keys()
        more |= {name: (indices[name], name) for name in indices if name in missing}


def _share_heads(
    sources: Sequence[Leaf],
    dropped: Sequence[set[str]],
    lent: Sequence[dict[str, tuple[Leaf, str]]],
) -> bool:
    """Every source gets a head of its own, or none has one; whether some only got it here."""
    heads = [head_of(leaf) for leaf in sources]
    known = [name for name in heads if name is not None]
    if not known:
        return False
    own = [
        name is not None and not is_tied(leaf, name)
        for leaf, name in zip(sources, heads, strict=True)
    ]
    if any(own):
        for leaf, name, more in zip(sources, heads, lent, strict=True):
            embedding = embedding_of(leaf)
            if name is None and embedding is not None:
                more[known[0]] = leaf, embedding
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


def embedding_of(leaf: Node) -> str | None:
    """The token embeddings of a model, where its architecture is known."""
    architecture = architecture_of(leaf.config)
    if architecture is None:
        return None
    return next((name for name in leaf.tensors if name.endswith(architecture.embedding)), None)


def is_tied(leaf: Leaf, head: str) -> bool:
    """Whether a head that is stored is nothing but the embeddings.

    As transformers has it: two tensors that differ are not tied, whatever a config says.
    """
    embedding = embedding_of(leaf)
    if embedding is None or leaf.config.get("tie_word_embeddings", True) is False:
        return False
    if leaf.tensors[head] != leaf.tensors[embedding]:
        return False
    checkpoint = leaf.checkpoint
    if not all(checkpoint.stores(name) for name in (head, embedding)):
        return False
    return bool(np.array_equal(checkpoint.raw(head), checkpoint.raw(embedding)))


def untied(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that says that the head is not the embeddings."""
    nested = config.get("text_config")
    told = dict(config) | {"tie_word_embeddings": False}
    if isinstance(nested, Mapping) and "tie_word_embeddings" in nested:
        told["text_config"] = {**nested, "tie_word_embeddings": False}
    return told
