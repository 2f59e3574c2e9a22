"""Source nodes of a merge's graph: checkpoints, adapters, vocabulary-aligned embeddings."""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from population.errors import RecipeError
from population.merging.backends import Backend
from population.merging.lazy_tensors import ComputedTensor, LazyTensor, StoredTensor, matrix_shape
from population.merging.nodes import Node, Spec, depths_of
from population.merging.recipe import TokenizerChoice
from population.merging.vocabulary import (
    Alignment,
    Matrix,
    Rows,
    Tokenizer,
    align,
    aligned_rows,
    padding_row,
    read_tokenizer,
    token_sources,
)
from population.models.architectures import architecture_of
from population.models.checkpoints import Checkpoint
from population.models.config_comparison import text_config
from population.models.dtypes import widen
from population.models.tensor_kinds import TensorKind, tensor_kinds


class Leaf:
    """A checkpoint as a node of the graph.

    Args:
        name: what the recipe calls it.
        checkpoint: opened.
    """

    height = 0

    def __init__(self, name: str, checkpoint: Checkpoint) -> None:
        self.name, self.checkpoint = name, checkpoint
        self._digests: dict[str, bytes] = {}

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json."""
        return self.checkpoint.config

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        """Shape and dtype of each tensor."""
        return {
            name: Spec(header.shape, header.dtype)
            for name, header in self.checkpoint.tensors.items()
        }

    @cached_property
    def depths(self) -> Mapping[str, float]:
        """The relative depth of each tensor, see `Node.depths`."""
        return depths_of(self.tensors, self.config)

    @cached_property
    def _kinds(self) -> Mapping[str, TensorKind]:
        return tensor_kinds(self.checkpoint.tensors, self.checkpoint.config)

    @cached_property
    def copied(self) -> Set[str]:
        """The tensors that are no weights."""
        return {name for name, kind in self._kinds.items() if kind is not TensorKind.WEIGHT}

    @cached_property
    def ignored(self) -> frozenset[str]:
        """The buffers that transformers does not load."""
        return frozenset(n for n, kind in self._kinds.items() if kind is TensorKind.IGNORED)

    def digest(self, tensor: str) -> bytes:
        """A hash over a tensor's shape, dtype and bytes."""
        if tensor not in self._digests:
            header, raw = self.checkpoint.tensors[tensor], self.checkpoint.raw(tensor)
            digest = hashlib.sha256(f"{header.dtype.code}{header.shape}".encode())
            digest.update(np.ascontiguousarray(raw).reshape(-1).view(np.uint8).data)
            self._digests[tensor] = digest.digest()
        return self._digests[tensor]

    def value(self, tensor: str) -> Any:
        """A tensor's elements as they are stored, in its shape."""
        return self.checkpoint.raw(tensor)

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor, read from its file or computed by its adapter."""
        checkpoint = self.checkpoint
        if not checkpoint.stores(tensor):
            rows, columns = matrix_shape(checkpoint.tensors[tensor].shape)
            return ComputedTensor(
                rows,
                columns,
                lambda start, stop: (
                    checkpoint.wide(tensor, start, stop)
                    if len(checkpoint.tensors[tensor].shape) > 1
                    else checkpoint.wide(tensor)[None]
                ),
                backend,
                lambda: checkpoint.release(tensor),
            )
        return StoredTensor(checkpoint, tensor, backend)

    def copy_of(self, tensor: str) -> tuple[Node, str]:
        """Itself and the tensor: nothing lies below a source."""
        return self, tensor


@dataclass(frozen=True)
class Vocabularies:
    """All sources' vocabularies, aligned to one.

    Attributes:
        alignment: the merged vocabulary.
        tokenizers: of the sources, in order.
        leaves: the sources, in that order.
    """

    alignment: Alignment
    tokenizers: Sequence[Tokenizer]
    leaves: Sequence[Leaf]


class VocabularyAlignedSource(Leaf):
    """A checkpoint whose embeddings have the rows of a common vocabulary."""

    def __init__(self, leaf: Leaf, vocabularies: Vocabularies) -> None:
        super().__init__(leaf.name, leaf.checkpoint)
        self._vocabularies = vocabularies
        self._number = list(vocabularies.leaves).index(leaf)
        self._embeddings = embedding_tensors(leaf.checkpoint)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The source's config with the size of the merged vocabulary."""
        size = self._vocabularies.alignment.size
        config = dict(self.checkpoint.config)
        text = config.get("text_config")
        if isinstance(text, Mapping) and "vocab_size" in text:
            return config | {"text_config": {**text, "vocab_size": size}}
        return config | {"vocab_size": size}

    @cached_property
    def tensors(self) -> Mapping[str, Spec]:
        """Shape and dtype of each tensor; embeddings have a row per merged token."""
        size = self._vocabularies.alignment.size
        return {
            name: Spec((size, *spec.shape[1:]), spec.dtype) if name in self._embeddings else spec
            for name, spec in super().tensors.items()
        }

    def lazy_tensor(self, tensor: str, backend: Backend) -> LazyTensor:
        """One tensor; embeddings are gathered row by row."""
        if tensor not in self._embeddings:
            return super().lazy_tensor(tensor, backend)
        alignment, leaves = self._vocabularies.alignment, self._vocabularies.leaves

        def read_rows(model: int, rows: Rows) -> Matrix:
            checkpoint = leaves[model].checkpoint
            name = _same_embedding(checkpoint, tensor)
            if not checkpoint.stores(name):
                return _flat(checkpoint.wide(name)[rows])
            return _flat(widen(checkpoint.raw(name)[rows], checkpoint.tensors[name].dtype))

        padding = (
            padding_row(alignment, self._number, read_rows)
            if alignment.needs_padding(self._number)
            else None
        )
        shape = self.tensors[tensor].shape
        rows, columns = shape[0], matrix_shape(shape)[1] if len(shape) > 1 else 1

        def compute(start: int, stop: int) -> Matrix:
            return aligned_rows(alignment, self._number, start, stop, read_rows, padding)

        def release() -> None:
            for leaf in leaves:
                leaf.checkpoint.release(_same_embedding(leaf.checkpoint, tensor))

        if len(shape) == 1:
            return ComputedTensor(1, rows, lambda *_: compute(0, rows).T, backend, release)
        return ComputedTensor(rows, columns, compute, backend, release)


def embedding_tensors(checkpoint: Checkpoint) -> set[str]:
    """The tensors that have a row for each token.

    Raises:
        RecipeError: the config states no vocab_size.
    """
    architecture = architecture_of(checkpoint.config)
    rows = embedding_rows(checkpoint)
    endings = ["embed_tokens.weight", "lm_head.weight", "lm_head.bias", "embed_out.weight"]
    if architecture is not None:
        endings.append(architecture.embedding)
    return {
        name
        for name, header in checkpoint.tensors.items()
        if name.endswith(tuple(endings)) and header.shape and header.shape[0] == rows
    }


def embedding_rows(checkpoint: Checkpoint) -> int:
    """The number of tokens that a model has rows for.

    Raises:
        RecipeError: its config states no vocab_size.
    """
    rows = text_config(checkpoint.config).get("vocab_size")
    if not isinstance(rows, int):
        raise RecipeError(f"{checkpoint.name!r}: its config does not say its vocab_size")
    return rows


def _same_embedding(checkpoint: Checkpoint, tensor: str) -> str:
    """The donor's tensor; of a model that ties them, its embeddings stand for its head."""
    if tensor in checkpoint.tensors:
        return tensor
    architecture = architecture_of(checkpoint.config)
    ending = architecture.embedding if architecture is not None else "embed_tokens.weight"
    return next(name for name in checkpoint.tensors if name.endswith(ending))


def _flat(rows: Any) -> Matrix:
    return np.ascontiguousarray(rows, dtype=np.float32).reshape(len(rows), -1)


def common_vocabulary(
    leaves: Sequence[Leaf], base: int | None, choice: TokenizerChoice
) -> Vocabularies:
    """Align the sources' vocabularies to one.

    Args:
        leaves: the sources.
        base: index of the base among them, or None.
        choice: the vocabulary that the recipe wants.

    Raises:
        CheckpointError: they cannot be aligned.
        RecipeError: the choice names no source.
    """
    names = [leaf.name for leaf in leaves]
    if choice.source not in {"union", "base", *names}:
        raise RecipeError(
            f"tokenizer source {choice.source!r} is neither union nor base nor a source; "
            f"there are {', '.join(names)}"
        )
    tokenizers = [
        read_tokenizer(leaf.checkpoint.path, leaf.name, embedding_rows(leaf.checkpoint))
        for leaf in leaves
    ]
    rules = {token: rule.model_dump(exclude_none=True) for token, rule in choice.tokens.items()}
    source: Any = names.index(choice.source) if choice.source in names else choice.source
    alignment = align(
        tokenizers, base, source, token_sources(rules, names), choice.pad_to_multiple_of
    )
    return Vocabularies(alignment, tokenizers, leaves)
