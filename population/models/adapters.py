"""LoRA adapters (PEFT) on a base, as checkpoints whose weights are computed when they are read.

`W + s B A` with `s = alpha / r` (arXiv 2106.09685, section 4.1), or `alpha / sqrt(r)` for rank-
stabilised adapters (arXiv 2312.03732). Only the factors are kept, and the sum is in fp32, so
merging an adapter loses nothing before the one rounding at the end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from population.errors import CheckpointError
from population.json_files import read_object
from population.models.checkpoints import Checkpoint
from population.models.dtypes import Raw, Wide, narrow, widen
from population.models.tensor_files import TensorHeader, read_headers
from population.models.tied_heads import tie_of, untied

BLOCK_ROWS = 256
"""Rows of an update that are computed together."""

_LORA = re.compile(
    r"(.+?)\.lora_(embedding_)?([AB])(?:\.(?!weight$|bias$)[\w-]+)?(?:\.(weight|bias))?"
)
_TOKENS = re.compile(r"(.+?)\.token_adapter\.trainable_tokens_delta(?:\.[\w-]+)?")
_WRAPPERS = re.compile(r"^((base_model\.model|_orig_mod|module)\.)+")
_INSIDE = re.compile(
    r"\.modules_to_save(\.default)?(?=\.)|\.(base_layer|_orig_mod|original_module)(?=\.)"
)

# Settings of peft with which the base plus the factors is not the model that was trained.
_NOT_PLAIN = ("use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config",
              "layer_replication", "target_parameters", "velora_config", "monteclora_config",
              "megatron_config")  # fmt: skip
_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")

DEFAULT_RANK = DEFAULT_ALPHA = 8
"""peft's defaults."""


@dataclass(frozen=True)
class LowRankUpdate:
    """A low-rank change of a weight: `scale * (left @ right)`.

    Attributes:
        left: fp32, shape [rows, rank].
        right: fp32, shape [rank, columns].
        scale: see the module's docstring.
    """

    left: Wide
    right: Wide
    scale: float

    def rows(self, start: int, stop: int) -> Wide:
        """Rows start..stop-1 of the change: fp32, shape [rows, columns].

        Computed in blocks at fixed places whatever rows are asked for: a product's last bits may
        depend on its shape, and callers that read in other chunks have to see the same weights.
        """
        first = start - start % BLOCK_ROWS
        blocks = [
            (self.left[at : at + BLOCK_ROWS] * np.float32(self.scale)) @ self.right
            for at in range(first, stop, BLOCK_ROWS)
        ]
        change: Wide = np.concatenate(blocks)
        return change[start - first : stop - first]


@dataclass(frozen=True)
class BiasUpdate:
    """A change of a bias: `scale * values`.

    Attributes:
        values: fp32, shape [rows].
        scale: see the module's docstring.
    """

    values: Wide
    scale: float

    def rows(self, start: int, stop: int) -> Wide:
        """Elements start..stop-1 of the change: fp32, shape [rows]."""
        change: Wide = self.values[start:stop] * np.float32(self.scale)
        return change


@dataclass(frozen=True)
class AdaptedCheckpoint(Checkpoint):
    """A base with an adapter applied; it is read like any checkpoint.

    Attributes:
        base: the checkpoint that the adapter was trained on.
        adapter: the adapter's folder.
        updates: changes that are added, by tensor name.
        replaced: tensors that the adapter stores in full, by name.
    """

    base: Checkpoint
    adapter: Path
    updates: Mapping[str, LowRankUpdate | BiasUpdate]
    replaced: Mapping[str, Raw]

    @property
    def reference(self) -> str:
        """BASE+ADAPTER, which opens it again from anywhere."""
        return f"{self.base.reference}+{self.adapter.resolve()}"

    def raw(self, name: str) -> Raw:
        """One tensor in its stored dtype, shape as in its header; computed if it was updated."""
        header = self.tensors[name]
        if name in self.updates:
            return narrow(self.wide(name), header.dtype).reshape(header.shape)
        return self.replaced[name] if name in self.replaced else self.base.raw(name)

    def wide(self, name: str, start: int = 0, stop: int | None = None) -> Wide:
        """Rows of a tensor with the adapter applied: fp32 or fp64, shape [rows, ...]."""
        if name in self.replaced:  # and perhaps updated: peft saves embeddings with their factors
            wide = widen(self.replaced[name][start:stop], self.tensors[name].dtype)
        else:
            wide = self.base.wide(name, start, stop)
        if name not in self.updates:
            return wide
        return wide + self.updates[name].rows(start, start + len(wide))

    def stores(self, name: str) -> bool:
        """Whether `raw` is exact: False for tensors that the adapter updates."""
        return super().stores(name) and name not in self.updates

    def renamed(self, names: Mapping[str, str], config: Mapping[str, Any]) -> Checkpoint:
        """The same weights by other names, see `Checkpoint.renamed`."""
        return replace(
            self,
            tensors={new: self.tensors[old] for new, old in names.items()},
            config=config,
            base=self.base.renamed(names, config),
            updates={new: self.updates[old] for new, old in names.items() if old in self.updates},
            replaced={n: self.replaced[old] for n, old in names.items() if old in self.replaced},
        )

    def release(self, name: str) -> None:
        """Free the mapped memory of the base's tensor."""
        if name not in self.replaced:
            self.base.release(name)


def low_rank_change(
    changed: Checkpoint, base: Checkpoint, name: str
) -> LowRankUpdate | Literal["none"] | None:
    """How a tensor of a checkpoint differs from the same one of another.

    Returns:
        The change by a LoRA's factors; "none" where both are the same bytes of a file; None where
        it is neither, as far as can be told without reading.
    """
    update: LowRankUpdate | BiasUpdate | None = None
    if isinstance(changed, AdaptedCheckpoint):
        if name in changed.replaced:
            return None
        update, changed = changed.updates.get(name), changed.base
    mine, theirs = changed.tensors[name], base.tensors[name]
    if isinstance(base, AdaptedCheckpoint) or isinstance(update, BiasUpdate):
        return None
    if (mine.file, mine.offset, mine.dtype) != (theirs.file, theirs.offset, theirs.dtype):
        return None
    return update or "none"


@dataclass
class _AdapterContent:
    """The tensors of an adapter's file, by the names of the base's tensors.

    Attributes:
        factors: by tensor, and then "A", "B", "Aembedding_" or "Bembedding_".
        biases: what is added to biases.
        modules: the module names in the adapter, by tensor: its patterns refer to those.
        replaced: tensors that it stores in full.
        tokens: rows of embeddings that it stores.
    """

    factors: dict[str, dict[str, Wide]] = field(default_factory=dict)
    biases: dict[str, Wide] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, tuple[TensorHeader, Raw]] = field(default_factory=dict)
    tokens: dict[str, Wide] = field(default_factory=dict)


def apply_adapter(base: Checkpoint, folder: Path, name: str) -> AdaptedCheckpoint:
    """Apply an adapter to its base; nothing is computed before a tensor is read.

    Args:
        base: the checkpoint that it was trained on.
        folder: the adapter's folder.
        name: what messages and recipes call the result.

    Raises:
        CheckpointError: the adapter is missing, broken, of a kind that is no plain LoRA, or does
            not fit the base.
    """
    label = f"adapter {name!r}"
    try:
        config = read_object(folder / "adapter_config.json", label)
    except FileNotFoundError:
        raise CheckpointError(f"{label}: no adapter_config.json in {folder}") from None
    if kind := _other_kind(config):
        raise CheckpointError(
            f"{label} is {kind}; only plain LoRA can be merged here, merge it with peft first"
        )
    weights_file = folder / "adapter_model.safetensors"
    if not weights_file.is_file():
        has_pickle = (folder / "adapter_model.bin").is_file()
        hint = " (adapter_model.bin is a pickle, which can run code; save it again)"
        raise CheckpointError(
            f"{label}: no adapter_model.safetensors in {folder}{hint if has_pickle else ''}"
        )
    adapter_file = Checkpoint(name, folder, {}, read_headers(weights_file, name))
    notes = list(base.notes)
    base = _untied_for(adapter_file, base, config, label, notes)
    content = _content(adapter_file, base, label)
    if not (content.factors or content.replaced or content.tokens):
        raise CheckpointError(f"{label}: {weights_file} holds no LoRA weights")
    updates: dict[str, LowRankUpdate | BiasUpdate] = {
        target: _update(base, target, sides, config, name, content.modules[target])
        for target, sides in content.factors.items()
    }
    for target, values in content.biases.items():
        shape = base.tensors[target].shape
        if values.shape != shape:
            raise CheckpointError(
                f"{label}: expected {target} of shape {list(shape)}, got {list(values.shape)}"
            )
        matrix = target.removesuffix("bias") + "weight"
        module = content.modules[target]
        scale = _scale(config, module, len(content.factors[matrix]["A"]), target, name)
        updates[target] = BiasUpdate(values, scale)
    tensors = dict(base.tensors)
    for target, (header, _) in content.replaced.items():
        if header.shape != tensors[target].shape:
            raise CheckpointError(
                f"{label}: expected {target} of shape {list(tensors[target].shape)}, got "
                f"{list(header.shape)}; was the vocabulary of its base enlarged before training?"
            )
        tensors[target] = replace(tensors[target], dtype=header.dtype)
    replaced = {target: raw for target, (_, raw) in content.replaced.items()}
    for target, rows in content.tokens.items():
        replaced[target] = _with_tokens(base, target, rows, config, label)
    return AdaptedCheckpoint(
        name,
        base.path,
        base.config,
        tensors,
        base,
        folder,
        updates,
        replaced,
        notes=tuple(notes),
    )


def _content(adapter_file: Checkpoint, base: Checkpoint, label: str) -> _AdapterContent:
    """Sort the tensors of an adapter by the base's tensor and the kind of change."""
    content = _AdapterContent()
    for key in adapter_file.tensors:
        base_name = _plain_name(key)
        if match := _LORA.fullmatch(base_name):
            module, embedding, side, kind = match.groups()
            if kind == "bias" and side == "B":
                target = _target(base, f"{module}.bias", label)
                _insert_once(content.biases, target, adapter_file.wide(key), label)
            else:
                target = _target(base, f"{module}.weight", label)
                sides = content.factors.setdefault(target, {})
                _insert_once(sides, side + (embedding or ""), adapter_file.wide(key), label)
            content.modules[target] = module
        elif match := _TOKENS.fullmatch(base_name):
            target = _target(base, f"{match[1]}.weight", label)
            _insert_once(content.tokens, target, adapter_file.wide(key), label)
        else:
            target = _target(base, base_name, label)
            _insert_once(
                content.replaced, target, (adapter_file.tensors[key], adapter_file.raw(key)), label
            )
    return content


def _insert_once(container: dict[str, Any], key: str, value: Any, label: str) -> None:
    if key in container:
        raise CheckpointError(f"{label} has {key} twice; does its file hold several adapters?")
    container[key] = value


def _plain_name(key: str) -> str:
    """The name of an adapter's tensor as the base has it, without wrapper prefixes."""
    return _INSIDE.sub("", _WRAPPERS.sub("", key))


def _untied_for(
    adapter_file: Checkpoint,
    base: Checkpoint,
    config: Mapping[str, Any],
    label: str,
    notes: list[str],
) -> Checkpoint:
    """The base with a head of its own, if the adapter makes it differ from the embeddings."""
    tie = tie_of(base)
    if tie is None or tie.head in base.tensors:
        return base
    head, embedding = (name.removesuffix(".weight") for name in (tie.head, tie.embeddings))
    changed = {"head": False, "embeddings in full": False, "embeddings": False}
    for key in adapter_file.tensors:
        base_name = _plain_name(key)
        module = base_name.partition(".lora_")[0].partition(".token_adapter.")[0]
        module = module.removesuffix(".weight")
        if _same_module(module, head):
            changed["head"] = True
        elif _same_module(module, embedding):
            part = "embeddings" if module + ".weight" != base_name else "embeddings in full"
            changed[part] = True
    if config.get("ensure_weight_tying") or config.get("trainable_token_indices") is not None:
        return base
    # Of factors on the embeddings alone, peft's merging makes a model that is tied as before.
    if not changed["head"] and (changed["embeddings"] or not changed["embeddings in full"]):
        return base
    changed_part = tie.head if changed["head"] else f"{tie.embeddings} alone"
    notes.append(
        f"{label} changes {changed_part}, which {base.name!r} ties to "
        f"{tie.embeddings if changed['head'] else 'its head'}: with it, the model has a head of "
        "its own (tie_word_embeddings false)"
    )
    return untied(base, tie)


def _same_module(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _with_tokens(
    base: Checkpoint, target: str, rows: Wide, config: Mapping[str, Any], label: str
) -> Raw:
    """The base's embeddings with the rows that the adapter trained."""
    indices = config.get("trainable_token_indices")
    if isinstance(indices, Mapping):
        module = target.removesuffix(".weight")
        indices = next((v for k, v in indices.items() if _same_module(str(k), module)), None)
    height = base.tensors[target].shape[0]
    if (
        not isinstance(indices, list)
        or not all(isinstance(row, int) and 0 <= row < height for row in indices)
        or rows.shape != (len(indices), *base.tensors[target].shape[1:])
    ):
        raise CheckpointError(
            f"{label}: trainable_token_indices in its adapter_config.json does not name the "
            f"{len(rows)} of {height} rows of {target} that it brings"
        )
    raw = np.array(base.raw(target))
    raw[indices] = narrow(rows, base.tensors[target].dtype)
    return raw


def _other_kind(config: Any) -> str | None:
    """The kind of an adapter, for messages; None for a plain LoRA."""
    if not isinstance(config, dict):
        return "nothing that peft wrote (its adapter_config.json is no JSON object)"
    if config.get("peft_type") != "LORA":
        return f"of type {config.get('peft_type')}"
    if config.get("use_dora"):
        return "a DoRA"
    for setting in _NOT_PLAIN:
        if config.get(setting):
            return f"a LoRA with {setting}"
    initialisation = str(config.get("init_lora_weights")).lower()
    if initialisation.startswith(_CHANGING):
        return f"a LoRA that changes its base before training (init_lora_weights: {initialisation})"
    return None


def _target(base: Checkpoint, wanted: str, label: str) -> str:
    """The base's name for a tensor, with or without the prefix that all of its names share."""
    if wanted in base.tensors:
        return wanted
    same_ending = [
        name for name in base.tensors if name.endswith(f".{wanted}") or wanted.endswith(f".{name}")
    ]
    if len(same_ending) == 1:
        return same_ending[0]
    raise CheckpointError(
        f"{label} changes {wanted}, which {base.name!r} does not have; is it the model "
        "that the adapter was trained on?"
    )


def _update(
    base: Checkpoint,
    target: str,
    sides: Mapping[str, Wide],
    config: Mapping[str, Any],
    name: str,
    module: str,
) -> LowRankUpdate:
    embedding = "Aembedding_" in sides
    try:
        a, b = (
            (sides["Aembedding_"], sides["Bembedding_"]) if embedding else (sides["A"], sides["B"])
        )
    except KeyError:
        raise CheckpointError(
            f"adapter {name!r}: {target} has only one of its two factors"
        ) from None
    scale = _scale(config, module, len(a), target, name)
    # Embeddings and GPT-2's Conv1D store what a linear layer would call the transpose. peft's word
    # on it counts only where the shape fits both ways: it has one for all modules, the last one's.
    shape = base.tensors[target].shape
    matrices = a.ndim == b.ndim == 2
    fits_transposed = matrices and shape == (a.shape[1], len(b))
    fits_plain = matrices and shape == (len(b), a.shape[1])
    transposed = config.get("fan_in_fan_out") if fits_transposed and fits_plain else fits_transposed
    left, right = (a.T, b.T) if embedding or transposed else (b, a)
    fits = fits_transposed or (fits_plain and not embedding)
    if not fits or left.shape[1] != len(right):
        raise CheckpointError(
            f"adapter {name!r}: its factors for {target} are {list(b.shape)} and {list(a.shape)}, "
            f"which does not make {list(shape)} as in {base.name!r}"
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise CheckpointError(f"adapter {name!r}: {target} holds NaN or infinity")
    return LowRankUpdate(np.ascontiguousarray(left), np.ascontiguousarray(right), float(scale))


def _scale(config: Mapping[str, Any], module: str, rank: int, target: str, name: str) -> float:
    """The factor on the product of the factors: `alpha / r`, see the module's docstring."""

    def refuse(reason: object) -> CheckpointError:
        return CheckpointError(
            f"adapter {name!r}: its adapter_config.json gives no scale for {target}: {reason}"
        )

    try:
        stated_rank = _by_pattern(config.get("rank_pattern"), module, config.get("r", DEFAULT_RANK))
        alpha = _by_pattern(
            config.get("alpha_pattern"), module, config.get("lora_alpha", DEFAULT_ALPHA)
        )
    except (ArithmeticError, AttributeError, TypeError, ValueError, re.error) as error:
        raise refuse(error) from None
    if stated_rank != rank:
        raise refuse(f"it says rank {stated_rank:g}, the factors have {rank}")
    if rank == 0 or not math.isfinite(alpha):
        raise refuse(f"rank {rank}, lora_alpha {alpha:g}")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    """The value of the first pattern that a module's name ends in; 0 is a valid value."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return float(value)
    return float(default)
