"""Tied heads: whether a model's head is its embeddings, whatever its files and config say.

A tied head may be stored beside the embeddings or not at all, and a config may leave out that it is
tied. So the tensors decide: a model is tied if it has embeddings but no head, or if both are the
same numbers. transformers decides in the same way, and ties nothing that differs.
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
        head: the name of the head's tensor, stored or not.
        embeddings: the name of the embeddings' tensor.
    """

    head: str
    embeddings: str


def tie_of(checkpoint: Checkpoint) -> Tie | None:
    """How a checkpoint's head is tied to its embeddings; None if it is not, or there is no head."""
    architecture = architecture_of(checkpoint.config)
    names = None if architecture is None else _names(architecture, checkpoint.tensors)
    if names is None:
        return None
    head, embeddings = names
    flag = checkpoint.config.get("tie_word_embeddings")
    if head not in checkpoint.tensors:
        return None if flag is False else Tie(head, embeddings)
    if flag is False or not _equal(checkpoint, head, embeddings):
        return None
    return Tie(head, embeddings)


def has_own_head(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint stores a head that differs from its embeddings.

    Not the opposite of a tie: False for unknown architectures. Their configs must stay as they are,
    since one flag may tie more than a head (BERT's bias, the embeddings of an encoder and a
    decoder), and what it ties is not stored.
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
    """The same model with its tied head stored beside the embeddings."""
    names = {name: name for name in checkpoint.tensors} | {tie.head: tie.embeddings}
    return checkpoint.renamed(names, checkpoint.config)


def without_head(checkpoint: Checkpoint, tie: Tie) -> Checkpoint:
    """The same model without its tied head."""
    names = {name: name for name in checkpoint.tensors if name != tie.head}
    return checkpoint.renamed(names, checkpoint.config)


def untied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with tie_word_embeddings false, also in text_config if it is set there.

    >>> untied_config({"model_type": "llama"})
    {'model_type': 'llama', 'tie_word_embeddings': False}
    """
    result = {**config, "tie_word_embeddings": False}
    text = config.get("text_config")
    if isinstance(text, Mapping) and "tie_word_embeddings" in text:
        result["text_config"] = {**text, "tie_word_embeddings": False}
    return result


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
    old_layout = embeddings[0].startswith("language_model.model.")  # before transformers 5
    return (f"language_model.{head}" if old_layout else head), embeddings[0]


def _equal(checkpoint: Checkpoint, one: str, other: str) -> bool:
    head, embeddings = checkpoint.tensors[one], checkpoint.tensors[other]
    if head.shape != embeddings.shape or head.dtype != embeddings.dtype:
        return False
    if checkpoint.stores(one) and (head.file, head.offset) == (embeddings.file, embeddings.offset):
        return True
    equal = np.array_equal(checkpoint.raw(one), checkpoint.raw(other))
    checkpoint.release(one)
    checkpoint.release(other)
    return bool(equal)
