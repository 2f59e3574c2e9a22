"""LoRA adapters (PEFT) on a base, as checkpoints whose weights are computed when they are read.

`W + s B A` with `s = alpha / r` (arXiv 2106.09685, section 4.1), or `alpha / sqrt(r)` for rank-
stabilised adapters (arXiv 2312.03732). Only the factors are kept, and the sum is in fp32, so
merging an adapter loses nothing before the one rounding at the end.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from population.checkpoints import Checkpoint, TensorHeader, read_headers
from population.dtypes import Raw, Wide, narrow, widen
from population.errors import CheckpointError

BLOCK = 256
"""Rows of a change that are computed together."""

_LORA = re.compile(r"(.+?)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?")


# Settings of peft with which the base plus the factors is not the model that was trained.
_NOT_PLAIN = ("use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config",
              "layer_replication")  # fmt: skip
_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class Update:
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
        first = start - start % BLOCK
        blocks = [
            (self.left[at : at + BLOCK] * np.float32(self.scale)) @ self.right
            for at in range(first, stop, BLOCK)
        ]
        change: Wide = np.concatenate(blocks)
        return change[start - first : stop - first]


@dataclass(frozen=True)
class Adapted(Checkpoint):
    """A base with an adapter: reads like any checkpoint.

    Attributes:
        base: what it was trained on.
        adapter: its folder.
        updates: by tensor name.
        replaced: tensors that the adapter brings whole, by name, opened.
    """

    base: Checkpoint
    adapter: Path
    updates: Mapping[str, Update]
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

    def release(self, name: str) -> None:
        if name not in self.replaced:
            self.base.release(name)


def adapted(base: Checkpoint, folder: Path, name: str) -> Adapted:
    """Apply an adapter to its base.

    Raises:
        CheckpointError: the adapter is missing, broken, of a kind that is no plain LoRA, or does
            not fit the base.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"adapter {name!r}: {folder / 'adapter_config.json'}: {error}"
        ) from None
    if kind := _other_kind(config):
        raise CheckpointError(
            f"adapter {name!r} is {kind}; only plain LoRA can be merged here, merge it with peft "
            "first"
        )
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise CheckpointError(f"adapter {name!r}: no adapter_model.safetensors in {folder}")
    opened = Checkpoint(name, folder, {}, read_headers(file, name))
    factors: dict[str, dict[str, Wide]] = {}
    whole: dict[str, tuple[TensorHeader, Raw]] = {}
    for key in opened.tensors:
        plain = key.removeprefix("base_model.model.")
        match = _LORA.fullmatch(plain)
        if match:
            module, embedding, side = match.groups()
            target = _target(base, f"{module}.weight", name)
            factors.setdefault(target, {})[side + (embedding or "")] = opened.wide(key)
        else:
            plain = plain.replace(".modules_to_save.default", "").replace(".base_layer", "")
            target = _target(base, plain, name)
            whole[target] = opened.tensors[key], opened.raw(key)
    if not factors and not whole:
        raise CheckpointError(f"adapter {name!r}: {file} holds no LoRA weights")
    updates = {
        target: _update(base, target, sides, config, name) for target, sides in factors.items()
    }
    headers = dict(base.tensors)
    for target, (header, _) in whole.items():
        if header.shape != headers[target].shape:
            raise CheckpointError(
                f"adapter {name!r}: expected {target} of shape {list(headers[target].shape)}, got "
                f"{list(header.shape)}"
            )
        headers[target] = replace(headers[target], dtype=header.dtype)
    return Adapted(
        name,
        base.path,
        base.config,
        headers,
        base,
        folder,
        updates,
        {target: raw for target, (_, raw) in whole.items()},
        notes=base.notes,
    )


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


def _target(base: Checkpoint, wanted: str, adapter: str) -> str:
    for name in (wanted, wanted.removeprefix("model."), f"model.{wanted}"):
        if name in base.tensors:
            return name
    raise CheckpointError(
        f"adapter {adapter!r} changes {wanted}, which {base.name!r} does not have; is it the model "
        "that the adapter was trained on?"
    )


def _update(
    base: Checkpoint, target: str, sides: Mapping[str, Wide], config: Mapping[str, Any], name: str
) -> Update:
    embedding = "Aembedding_" in sides
    try:
        a, b = (
            (sides["Aembedding_"], sides["Bembedding_"]) if embedding else (sides["A"], sides["B"])
        )
    except KeyError:
        raise CheckpointError(
            f"adapter {name!r}: {target} has only one of its two factors"
        ) from None
    module = target.removesuffix(".weight")
    try:
        rank = _by_pattern(config.get("rank_pattern"), module, config.get("r") or a.shape[0])
        alpha = _by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha") or rank)
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError, re.error) as error:
        raise CheckpointError(
            f"adapter {name!r}: its adapter_config.json gives no scale for {target}: {error}"
        ) from None
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
    return Update(np.ascontiguousarray(left), np.ascontiguousarray(right), float(scale))


def _by_pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return float(value)
    return float(default)
