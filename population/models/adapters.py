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
from typing import Any

import numpy as np

from population.errors import CheckpointError
from population.json_files import read_object
from population.models.checkpoints import Checkpoint, TensorHeader, read_headers
from population.models.dtypes import Raw, Wide, narrow, widen
from population.models.tied_heads import tie_of, untied

BLOCK_ROWS = 256
"""Rows of a change that are computed together."""

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
"""What peft takes where a config does not say."""


@dataclass(frozen=True)
class LowRankUpdate:
    """A low-rank change of a weight: `scale * (left @ right)`.

    Attributes:
        left: fp32, shape (rows, rank).
        right: fp32, shape (rank, columns).
        scale: see the module's docstring.
    """

    left: Wide
    right: Wide
    scale: float

    def rows(self, start: int, stop: int) -> Wide:
        """Some rows of the change.

        Computed in blocks that lie where they lie whatever is asked for: a product's last bits may
        depend on its shape, and who reads in other chunks has to see the same weights.
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
        values: fp32, shape (rows,).
        scale: see the module's docstring.
    """

    values: Wide
    scale: float

    def rows(self, start: int, stop: int) -> Wide:
        """Some elements of the change."""
        change: Wide = self.values[start:stop] * np.float32(self.scale)
        return change


@dataclass(frozen=True)
class AdaptedCheckpoint(Checkpoint):
    """A base with an adapter: reads like any checkpoint.

    Attributes:
        base: what it was trained on.
        adapter: its folder.
        updates: by tensor name.
        replaced: tensors that the adapter brings whole, by name, opened.
    """

    base: Checkpoint
    adapter: Path
    updates: Mapping[str, LowRankUpdate | BiasUpdate]
    replaced: Mapping[str, Raw]

    @property
    def reference(self) -> str:
        return f"{self.base.reference}+{self.adapter.resolve()}"

    def raw(self, name: str) -> Raw:
        header = self.tensors[name]
        if name in self.updates:
            return narrow(self.wide(name), header.dtype).reshape(header.shape)
        return self.replaced[name] if name in self.replaced else self.base.raw(name)

    def wide(self, name: str, start: int = 0, stop: int | None = None) -> Wide:
        if name in self.replaced:  # and perhaps updated: peft saves embeddings with their factors
            wide = widen(self.replaced[name][start:stop], self.tensors[name].dtype)
        else:
            wide = self.base.wide(name, start, stop)
        if name not in self.updates:
            return wide
        return wide + self.updates[name].rows(start, start + len(wide))

    def stores(self, name: str) -> bool:
        return super().stores(name) and name not in self.updates

    def renamed(self, names: Mapping[str, str], config: Mapping[str, Any]) -> Checkpoint:
        return replace(
            self,
            tensors={new: self.tensors[old] for new, old in names.items()},
            config=config,
            base=self.base.renamed(names, config),
            updates={new: self.updates[old] for new, old in names.items() if old in self.updates},
            replaced={n: self.replaced[old] for n, old in names.items() if old in self.replaced},
        )

    def release(self, name: str) -> None:
        if name not in self.replaced:
            self.base.release(name)


@dataclass
class _AdapterContent:
    """What the file of an adapter holds, by the names of the base's tensors.

    Attributes:
        factors: by tensor, and then "A", "B", "Aembedding_" or "Bembedding_".
        biases: what is added to biases.
        modules: the names of the modules in the adapter, by tensor: its patterns speak of those.
        whole: tensors that it brings whole.
        tokens: rows of embeddings that it brings.
    """

    factors: dict[str, dict[str, Wide]] = field(default_factory=dict)
    biases: dict[str, Wide] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    whole: dict[str, tuple[TensorHeader, Raw]] = field(default_factory=dict)
    tokens: dict[str, Wide] = field(default_factory=dict)


def apply_adapter(base: Checkpoint, folder: Path, name: str) -> AdaptedCheckpoint:
    """Apply an adapter to its base.

    Raises:
        CheckpointError: the adapter is missing, broken, of a kind that is no plain LoRA, or does
            not fit the base.
    """
    where = f"adapter {name!r}"
    try:
        config = read_object(folder / "adapter_config.json", where)
    except FileNotFoundError:
        raise CheckpointError(f"{where}: no adapter_config.json in {folder}") from None
    if kind := _other_kind(config):
        raise CheckpointError(
            f"{where} is {kind}; only plain LoRA can be merged here, merge it with peft first"
        )
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        more = " (adapter_model.bin is a pickle, which can run code; save it again)"
        raise CheckpointError(
            f"{where}: no adapter_model.safetensors in {folder}{more if pickled else ''}"
        )
    opened = Checkpoint(name, folder, {}, read_headers(file, name))
    notes = list(base.notes)
    base = _untied_for(opened, base, config, where, notes)
    content = _content(opened, base, where)
    if not (content.factors or content.whole or content.tokens):
        raise CheckpointError(f"{where}: {file} holds no LoRA weights")
    updates: dict[str, LowRankUpdate | BiasUpdate] = {
        target: _update(base, target, sides, config, name, content.modules[target])
        for target, sides in content.factors.items()
    }
    for target, values in content.biases.items():
        shape = base.tensors[target].shape
        if values.shape != shape:
            raise CheckpointError(
                f"{where}: expected {target} of shape {list(shape)}, got {list(values.shape)}"
            )
        matrix = target.removesuffix("bias") + "weight"
        module = content.modules[target]
        scale = _scale(config, module, len(content.factors[matrix]["A"]), target, name)
        updates[target] = BiasUpdate(values, scale)
    headers = dict(base.tensors)
    for target, (header, _) in content.whole.items():
        if header.shape != headers[target].shape:
            raise CheckpointError(
                f"{where}: expected {target} of shape {list(headers[target].shape)}, got "
                f"{list(header.shape)}; was the vocabulary of its base enlarged before training?"
            )
        headers[target] = replace(headers[target], dtype=header.dtype)
    replaced = {target: raw for target, (_, raw) in content.whole.items()}
    for target, rows in content.tokens.items():
        replaced[target] = _with_tokens(base, target, rows, config, where)
    return AdaptedCheckpoint(
        name,
        base.path,
        base.config,
        headers,
        base,
        folder,
        updates,
        replaced,
        notes=tuple(notes),
    )


def _content(opened: Checkpoint, base: Checkpoint, where: str) -> _AdapterContent:
    """Sort the tensors of an adapter by what they do to which tensor of its base."""
    found = _AdapterContent()
    for key in opened.tensors:
        plain = _plain_name(key)
        if match := _LORA.fullmatch(plain):
            module, embedding, side, kind = match.groups()
            if kind == "bias" and side == "B":
                target = _target(base, f"{module}.bias", where)
                _insert_once(found.biases, target, opened.wide(key), where)
            else:
                target = _target(base, f"{module}.weight", where)
                sides = found.factors.setdefault(target, {})
                _insert_once(sides, side + (embedding or ""), opened.wide(key), where)
            found.modules[target] = module
        elif match := _TOKENS.fullmatch(plain):
            target = _target(base, f"{match[1]}.weight", where)
            _insert_once(found.tokens, target, opened.wide(key), where)
        else:
            target = _target(base, plain, where)
            _insert_once(found.whole, target, (opened.tensors[key], opened.raw(key)), where)
    return found


def _insert_once(into: dict[str, Any], key: str, value: Any, where: str) -> None:
    if key in into:
        raise CheckpointError(f"{where} has {key} twice; does its file hold several adapters?")
    into[key] = value


def _plain_name(key: str) -> str:
    """The name of an adapter's tensor as the base has it, without what wrapped the module."""
    return _INSIDE.sub("", _WRAPPERS.sub("", key))


def _untied_for(
    opened: Checkpoint, base: Checkpoint, config: Mapping[str, Any], where: str, notes: list[str]
) -> Checkpoint:
    """The base with a head of its own, if the adapter makes it differ from the embeddings."""
    tie = tie_of(base)
    if tie is None or tie.head in base.tensors:
        return base
    head, embedding = (name.removesuffix(".weight") for name in (tie.head, tie.embeddings))
    changed = {"head": False, "embeddings whole": False, "embeddings": False}
    for key in opened.tensors:
        plain = _plain_name(key)
        module = plain.partition(".lora_")[0].partition(".token_adapter.")[0]
        module = module.removesuffix(".weight")
        if _same_module(module, head):
            changed["head"] = True
        elif _same_module(module, embedding):
            part = "embeddings" if module + ".weight" != plain else "embeddings whole"
            changed[part] = True
    if config.get("ensure_weight_tying") or config.get("trainable_token_indices") is not None:
        return base
    # Of factors on the embeddings alone, peft's merging makes a model that is tied as before.
    if not changed["head"] and (changed["embeddings"] or not changed["embeddings whole"]):
        return base
    what = tie.head if changed["head"] else f"{tie.embeddings} alone"
    notes.append(
        f"{where} changes {what}, which {base.name!r} ties to "
        f"{tie.embeddings if changed['head'] else 'its head'}: with it, the model has a head of "
        "its own (tie_word_embeddings false)"
    )
    return untied(base, tie)


def _same_module(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _with_tokens(
    base: Checkpoint, target: str, rows: Wide, config: Mapping[str, Any], where: str
) -> Raw:
    """Embeddings with the rows that an adapter trained in place of those of the base."""
    stated = config.get("trainable_token_indices")
    if isinstance(stated, Mapping):
        module = target.removesuffix(".weight")
        stated = next((v for k, v in stated.items() if _same_module(str(k), module)), None)
    height = base.tensors[target].shape[0]
    if (
        not isinstance(stated, list)
        or not all(isinstance(row, int) and 0 <= row < height for row in stated)
        or rows.shape != (len(stated), *base.tensors[target].shape[1:])
    ):
        raise CheckpointError(
            f"{where}: trainable_token_indices in its adapter_config.json does not name the "
            f"{len(rows)} of {height} rows of {target} that it brings"
        )
    raw = np.array(base.raw(target))
    raw[stated] = narrow(rows, base.tensors[target].dtype)
    return raw


def _other_kind(config: Any) -> str | None:
    """What an adapter is, if it is no plain LoRA."""
    if not isinstance(config, dict):
        return "nothing that peft wrote (its adapter_config.json is no JSON object)"
    if config.get("peft_type") != "LORA":
        return f"of type {config.get('peft_type')}"
    if config.get("use_dora"):
        return "a DoRA"
    for setting in _NOT_PLAIN:
        if config.get(setting):
            return f"a LoRA with {setting}"
    start = str(config.get("init_lora_weights")).lower()
    if start.startswith(_CHANGING):
        return f"a LoRA that changes its base before training (init_lora_weights: {start})"
    return None


def _target(base: Checkpoint, wanted: str, where: str) -> str:
    """The base's name for a tensor, with or without what stands before all of them."""
    if wanted in base.tensors:
        return wanted
    ending = [
        name for name in base.tensors if name.endswith(f".{wanted}") or wanted.endswith(f".{name}")
    ]
    if len(ending) == 1:
        return ending[0]
    raise CheckpointError(
        f"{where} changes {wanted}, which {base.name!r} does not have; is it the model "
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
    across = matrices and shape == (a.shape[1], len(b))
    along = matrices and shape == (len(b), a.shape[1])
    turned = config.get("fan_in_fan_out") if across and along else across
    left, right = (a.T, b.T) if embedding or turned else (b, a)
    if not (across if embedding else across or along) or left.shape[1] != len(right):
        raise CheckpointError(
            f"adapter {name!r}: its factors for {target} are {list(b.shape)} and {list(a.shape)}, "
            f"which does not make {list(shape)} as in {base.name!r}"
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise CheckpointError(f"adapter {name!r}: {target} holds NaN or infinity")
    return LowRankUpdate(np.ascontiguousarray(left), np.ascontiguousarray(right), float(scale))


def _scale(config: Mapping[str, Any], module: str, rank: int, target: str, name: str) -> float:
    """What the product of the factors is multiplied by: `alpha / r`, see the module's docstring."""

    def refuse(reason: object) -> CheckpointError:
        return CheckpointError(
            f"adapter {name!r}: its adapter_config.json gives no scale for {target}: {reason}"
        )

    try:
        stated = _by_pattern(config.get("rank_pattern"), module, config.get("r", DEFAULT_RANK))
        alpha = _by_pattern(
            config.get("alpha_pattern"), module, config.get("lora_alpha", DEFAULT_ALPHA)
        )
    except (ArithmeticError, AttributeError, TypeError, ValueError, re.error) as error:
        raise refuse(error) from None
    if stated != rank:
        raise refuse(f"it says rank {stated:g}, the factors have {rank}")
    if rank == 0 or not math.isfinite(alpha):
        raise refuse(f"rank {rank}, lora_alpha {alpha:g}")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    """The value of the first pattern that a module's name ends in. 0 is a value like any other."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return float(value)
    return float(default)
