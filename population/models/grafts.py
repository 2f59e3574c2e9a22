"""Grafts: a vision-language model with the language part of another model.

A language model lacks the tower and the projector of a vision-language model of the same base. In
one, it takes the place of the language part, and both have the same tensors: what is no language
lies in one file for both, so its difference is zero, whatever is merged. No weight is read.

Names differ only in what stands before the layers. Embeddings and heads may have fewer rows than
those of the frame, which had tokens added (`<image>`); these rows stay the frame's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from population.errors import CheckpointError
from population.families import ModelFamily, family_of, name_in_language_model
from population.models.canonical_form import canonical
from population.models.checkpoints import Checkpoint
from population.models.config_comparison import config_differences, text_config
from population.models.dtypes import Raw, Wide, widen
from population.models.tied_heads import tie_of
from population.models.tokenizer_sameness import extends_tokens

HEAD = "lm_head.weight"
_WITH_ROWS = ("embed_tokens.weight", HEAD, "lm_head.bias")
_OF_THE_FRAME = {
    "vocab_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
}


@dataclass(frozen=True)
class GraftedCheckpoint(Checkpoint):
    """A frame with the language part of another model; it is read like any checkpoint.

    Attributes:
        frame: gives config, tokenizer, processor, tower and projector; its folder is `path`.
        part: gives the language part.
        taken: for each tensor of that part, what it is called in `part`.
    """

    frame: Checkpoint
    part: Checkpoint
    taken: Mapping[str, str]

    @property
    def reference(self) -> str:
        """FRAME+PART, which opens it again from anywhere."""
        return f"{self.frame.reference}+{self.part.reference}"

    def raw(self, name: str) -> Raw:
        """One tensor in its stored dtype, in its shape."""
        if name not in self.taken:
            return self.frame.raw(name)
        raw = self.part.raw(self.taken[name])
        if not self._lacks_rows(name):
            return raw
        return np.concatenate([raw, self.frame.raw(name)[len(raw) :]])

    def wide(self, name: str, start: int = 0, stop: int | None = None) -> Wide:
        """Rows of a tensor along its first dimension, widened."""
        if name not in self.taken:
            return self.frame.wide(name, start, stop)
        if not self._lacks_rows(name):
            return self.part.wide(self.taken[name], start, stop)
        own = self.part.tensors[self.taken[name]].shape[0]
        rows = self.tensors[name].shape[0] if stop is None else stop
        more = self.frame.raw(name)[max(start, own) : max(rows, own)]
        wide = self.part.wide(self.taken[name], min(start, own), min(rows, own))
        return np.concatenate([wide, widen(more, self.frame.tensors[name].dtype)])

    def stores(self, name: str) -> bool:
        """Whether `raw` lies in a file as it is."""
        if name not in self.taken:
            return name in self.tensors and self.frame.stores(name)
        return self.part.stores(self.taken[name]) and not self._lacks_rows(name)

    def renamed(self, names: Mapping[str, str], config: Mapping[str, Any]) -> Checkpoint:
        """The same weights by other names, see `Checkpoint.renamed`."""
        return replace(
            self,
            tensors={new: self.tensors[old] for new, old in names.items()},
            config=config,
            frame=self.frame.renamed(
                {new: old for new, old in names.items() if old in self.frame.tensors}, config
            ),
            taken={new: self.taken[old] for new, old in names.items() if old in self.taken},
        )

    def release(self, name: str) -> None:
        """Free the memory of a mapped tensor."""
        if name in self.taken:
            self.part.release(self.taken[name])
        else:
            self.frame.release(name)

    def _lacks_rows(self, name: str) -> bool:
        return self.part.tensors[self.taken[name]].shape != self.tensors[name].shape


def frame_among(checkpoints: Sequence[Checkpoint], base: int | None = None) -> Checkpoint | None:
    """The model whose tower and projector all of some models get; None if none has such parts.

    Args:
        checkpoints: opened.
        base: the place of the base among them, which is preferred.
    """
    composed = [one for one in checkpoints if family_of(one.config).composed]
    whole = (one for one in composed if not isinstance(one, GraftedCheckpoint))
    chosen = next(whole, next(iter(composed), None))
    if base is not None and checkpoints[base] in composed:
        chosen = checkpoints[base]
    return chosen.frame if isinstance(chosen, GraftedCheckpoint) else chosen


def part_that_merges(founders: Sequence[Checkpoint]) -> str | None:
    """The part of the founders that offspring merge; None where it is all of them."""
    grafted = any(isinstance(founder, GraftedCheckpoint) for founder in founders)
    return family_of(founders[0].config).merged if grafted else None


def in_frame(frame: Checkpoint, other: Checkpoint) -> Checkpoint:
    """A model in the form of the frame: itself, where it has the frame's own tower and projector.

    Raises:
        CheckpointError: it does not fit.
    """
    if other is frame or (isinstance(other, GraftedCheckpoint) and _same_files(other.frame, frame)):
        return other
    return graft(frame, other)


def _same_files(one: Checkpoint, other: Checkpoint) -> bool:
    family = family_of(one.config)
    return one.reference == other.reference or all(
        other.tensors.get(name) == header
        for name, header in one.tensors.items()
        if family.part_of(name) != family.merged
    )


def graft(frame: Checkpoint, other: Checkpoint, name: str | None = None) -> GraftedCheckpoint:
    """Put the language part of a model into a frame.

    Args:
        frame: a vision-language model.
        other: a language model, or another vision-language model.
        name: of the result; by default the other's.

    Raises:
        CheckpointError: they do not fit: no such parts, other shapes, settings or tokens.
    """
    family = family_of(frame.config)
    if not family.composed:
        raise CheckpointError(
            f"{frame.name!r} is a {family.name}: it has no part in whose place {other.name!r} "
            "could be"
        )
    inside = other.part if isinstance(other, GraftedCheckpoint) else other
    own = inside if family_of(inside.config).composed else canonical(inside)
    _check_settings(frame, own)
    taken = _places(frame, own, family)
    if not extends_tokens(frame.path, own.path, (frame.name, own.name)):
        raise CheckpointError(
            f"{other.name!r} has other tokens than {frame.name!r}; as its language part it has to "
            "have the same ones, or fewer of them"
        )
    headers = dict(frame.tensors)
    for tensor, stored in taken.items():
        header = own.tensors[stored]
        headers[tensor] = header if header.shape == headers[tensor].shape else replace(
            headers[tensor], dtype=header.dtype
        )  # fmt: skip
    return GraftedCheckpoint(
        name or other.name,
        frame.path,
        frame.config,
        headers,
        notes=other.notes,
        frame=frame,
        part=own,
        taken=taken,
    )


def _places(frame: Checkpoint, own: Checkpoint, family: ModelFamily) -> dict[str, str]:
    """For each tensor of the frame's language part the other's name for it."""
    inner = family_of(own.config)
    offered = {
        name_in_language_model(name): name
        for name in own.tensors
        if not inner.composed or inner.part_of(name) == inner.merged
    }
    tie = tie_of(own)
    taken: dict[str, str] = {}
    for name, header in frame.tensors.items():
        if family.part_of(name) != family.merged:
            continue
        wanted = name_in_language_model(name)
        if wanted == HEAD and wanted not in offered and tie is not None:
            offered[wanted] = tie.embeddings
        if wanted not in offered:
            raise CheckpointError(f"{own.name!r} lacks {wanted}, which {frame.name!r} has")
        shape = own.tensors[offered[wanted]].shape
        fewer_rows = wanted.endswith(_WITH_ROWS) and shape[1:] == header.shape[1:]
        if shape != header.shape and not (fewer_rows and shape[0] < header.shape[0]):
            raise CheckpointError(
                f"{own.name!r}: expected {wanted} of shape {list(header.shape)} as in "
                f"{frame.name!r}, got {list(shape)}"
            )
        taken[name] = offered.pop(wanted)
    if tie is not None:
        offered.pop(HEAD, None)
    if offered:
        more = "; tie it, or untie the frame's" if HEAD in offered else ""
        raise CheckpointError(
            f"{own.name!r} has {next(iter(offered.values()))}, which {frame.name!r} has not{more}"
        )
    return taken


def _check_settings(frame: Checkpoint, own: Checkpoint) -> None:
    """Make sure that two language parts compute the same, where their configs can be compared."""
    expected, actual = text_config(frame.config), text_config(own.config)
    if not own.config or expected.get("model_type") != actual.get("model_type"):
        return  # parts of Qwen2-VL are called otherwise than Qwen2; shapes tell
    for difference in config_differences(expected, actual):
        if difference.key not in _OF_THE_FRAME:
            raise CheckpointError(
                f"{own.name!r}: expected {difference.key} {difference.first!r} as in the language "
                f"part of {frame.name!r}, got {difference.second!r}"
            )
