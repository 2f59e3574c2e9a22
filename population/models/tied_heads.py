"""Heads that are the embeddings: whether a model has one of its own, whatever its files say.

A tied head may be stored beside the embeddings or not at all, and a config may leave out that it is
tied. So the tensors are asked: a model is tied if it has no head but embeddings, or if both are the
same numbers. That is how transformers sees it, which ties nothing that differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from population.models.architectures import Architecture, architecture_of, place_of
from population.models.checkpoints import Checkpoint


@dataclass(frozen=True)
class Tie:
    """A head that is the embeddings.

    Attributes:
        head: the name of its tensor, stored or not.
        embeddings: the name of theirs.
    """

    head: str
    embeddings: str


def tie_of(checkpoint: Checkpoint) -> Tie | None:
    """How a checkpoint's head is tied to its embeddings; None if it is not, or has none."""
    architecture = architecture_of(checkpoint.config)
    names = None if architecture is None else _names(architecture, checkpoint.tensors)
    if names is None:
        return None
    head, embeddings = names
    stated = checkpoint.config.get("tie_word_embeddings")
    if head not in checkpoint.tensors:
        return None if stated is False else Tie(head, embeddings)
    if stated is False or not _equal(checkpoint, head, embeddings):
        return None
    return Tie(head, embeddings)


def has_own_head(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint stores a head that differs from its embeddings.

    Not the opposite of a tie: of architectures that are not known here nothing is said. Their
    configs must stay as they are, since one flag may tie more than a head (BERT's bias, the
    embeddings of an encoder and a decoder), and what it ties is not stored.
    """
    architecture = architecture_of(checkpoint.config)
    names = None if architecture is None else _names(architecture, checkpoint.tensors)
    if names is None or names[0] not in checkpoint.tensors:
        return False
    return not _equal(checkpoint, *names)


def untied(checkpoint: Checkpoint, tie: Tie) -> Checkpoint:
    """The same model with a head of its own, which for now has the numbers of the embeddings."""
    names = {name: name for name in checkpoint.tensors} | {tie.head: tie.embeddings}
    return checkpoint.renamed(names, untied_config(checkpoint.config))


def with_head(checkpoint: Checkpoint, tie: Tie) -> Checkpoint:
    """The same model, its head stored beside the embeddings, as which it still is tied."""
    names = {name: name for name in checkpoint.tensors} | {tie.head: tie.embeddings}
    return checkpoint.renamed(names, checkpoint.config)


def without_head(checkpoint: Checkpoint, tie: Tie) -> Checkpoint:
    """The same model, its head not stored beside the embeddings."""
    names = {name: name for name in checkpoint.tensors if name != tie.head}
    return checkpoint.renamed(names, checkpoint.config)


def untied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that says that the head is no copy of the embeddings."""
    changed = {**config, "tie_word_embeddings": False}
    nested = config.get("text_config")
    if isinstance(nested, Mapping) and "tie_word_embeddings" in nested:
        changed["text_config"] = {**nested, "tie_word_embeddings": False}
    return changed


def _names(architecture: Architecture, tensors: Mapping[str, object]) -> tuple[str, str] | None:
    """The tensors of the head and of the embeddings, the former stored or not."""
    embeddings = [
        name
        for name in tensors
        if re.fullmatch(rf"({architecture.base})?{re.escape(architecture.embedding)}", name)
        and place_of(architecture, name) is None
    ]
    if len(embeddings) != 1:
        return None
    heads = [
        name
        for name in tensors
        if name.endswith(".weight") and re.fullmatch(architecture.head, name)
    ]
    if len(heads) > 1:
        return None
    if heads:
        return heads[0], embeddings[0]
    head = "embed_out.weight" if "embed_out" in architecture.head else "lm_head.weight"
    old = embeddings[0].startswith("language_model.model.")  # before transformers 5
    return (f"language_model.{head}" if old else head), embeddings[0]


def _equal(checkpoint: Checkpoint, one: str, other: str) -> bool:
    mine, theirs = checkpoint.tensors[one], checkpoint.tensors[other]
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    if checkpoint.stores(one) and (mine.file, mine.offset) == (theirs.file, theirs.offset):
        return True
    equal = np.array_equal(checkpoint.raw(one), checkpoint.raw(other))
    checkpoint.release(one)
    checkpoint.release(other)
    return bool(equal)
