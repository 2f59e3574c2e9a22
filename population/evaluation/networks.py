"""The networks of an evaluator: one for each kind of model that it has taken the weights of.

Models of one campaign may differ in depth, see `population.weights.materialise_routes`. Only the
network at work holds weights; the others are empty shells, built when a model first needs one.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig

from population.errors import CheckpointError
from population.evaluation.backward_pass import TakeGradient
from population.evaluation.replay import ReplayingReader
from population.evaluation.weight_conversion import Conversion, conversion_for
from population.families import family_of
from population.models.architectures import architecture_of
from population.weights.materialise import State
from population.weights.materialise_routes import RoutedState

MAX_SHELLS = 32
"""Empty networks kept at most; building one takes milliseconds."""

_BUILDING = threading.Lock()
"""Held while transformers builds a network: it changes settings of the process meanwhile."""


@dataclass(frozen=True)
class Network:
    """A network of transformers.

    Attributes:
        module: the network.
        aliases: names in its state dict that are the same tensor as another name (tied embeddings).
        conversions: from checkpoints to it, by the names of their tensors.
    """

    module: Any
    aliases: Mapping[str, str]
    conversions: dict[frozenset[str], Conversion] = field(default_factory=dict)

    @cached_property
    def widths(self) -> int:
        """Elements that the matrices of all layers read and give of a token."""
        head = self.module.get_output_embeddings()
        outside = {
            id(getattr(part, "weight", None)) for part in (self.module.get_input_embeddings(), head)
        }
        return sum(
            sum(weight.shape[-2:])
            for weight in self.module.parameters()
            if weight.dim() > 1 and id(weight) not in outside
        )

    def conversion(self, state: State) -> Conversion:
        """How a model's weights become the network's.

        Raises:
            CheckpointError: there is no place for one of them.
        """
        names = frozenset(state)
        if names not in self.conversions:
            shapes = {name: tensor.shape for name, tensor in state.items()}
            conversion = conversion_for(self.module, shapes)
            if conversion.unknown:
                raise CheckpointError(
                    f"the checkpoint has an unknown tensor {conversion.unknown[0]}, which does not "
                    f"fit {type(self.module).__name__}"
                )
            self.conversions[names] = conversion
        return self.conversions[names]


class Networks:
    """Networks of one architecture that take the weights of any model in turn.

    Args:
        config: the founders' config, as transformers reads it.
        dtype: of the weights at work.
        device: where they are.
    """

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._config, self._dtype, self._device = config, dtype, device
        module = _without_chance(config, dtype, device)
        module.requires_grad_(requires_grad=False).eval()
        # Not `.to(dtype)`: that would round what transformers keeps in fp32, such as RoPE's angles.
        self._founders = self._working = Network(module.to(device), _aliases(module))
        self._founders_kinds = layer_kinds(config.to_dict())
        self._shells: dict[str, Network] = {}
        self._loaded: State = {}
        self.reader = self._new_reader()
        """Reads with the network at work; None for the plain way."""

    def _new_reader(self) -> ReplayingReader | None:
        return ReplayingReader() if self._device.type == "cuda" else None

    def anew(self, dtype: torch.dtype) -> "Networks":
        """Other networks of the same architecture, in another dtype."""
        return Networks(self._config, dtype, self._device)

    @property
    def working(self) -> Any:
        """The network at work, with its weights; zeros at first."""
        return self._working.module

    def load_weights(self, state: State) -> None:
        """Put the weights of a model into the network that fits it.

        Raises:
            CheckpointError: the names of the weights do not fit the architecture.
        """
        network = self._network(state)
        conversion = network.conversion(state)
        if network is not self._working:
            self.drop_weights()
            self._working = network
        elif self._device.type == "cuda" and self._replaced(conversion(state)):
            return
        self.reader = self._new_reader()
        wide = _kept_wide(self.working, self._dtype)
        placed = {
            name: tensor.to(self._device, self._dtype_of(name, tensor, wide))
            for name, tensor in conversion(state).items()
        }
        for name, twin in network.aliases.items():
            if name not in placed and twin in placed:
                placed[name] = placed[twin]
        if self._exchanged(placed):
            return
        mismatch = self.working.load_state_dict(placed, strict=False, assign=True)
        if mismatch.missing_keys:
            raise CheckpointError(
                f"the checkpoint lacks {mismatch.missing_keys[0]}, which does not fit "
                f"{type(self.working).__name__}"
            )
        self._loaded = self.working.state_dict(keep_vars=True)

    def _exchanged(self, placed: State) -> bool:
        """Put other tensors in the place of those at work, if they are alike.

        torch's way takes as long as a small model takes to read an item.
        """
        own = self._loaded
        if self._device.type != "cpu" or own.keys() != placed.keys():
            return False
        pairs = [(weight, placed[name]) for name, weight in own.items()]
        if any(a.shape != b.shape or a.dtype != b.dtype for a, b in pairs):
            return False
        for weight, tensor in pairs:
            weight.data = tensor
        return True

    def _dtype_of(
        self, name: str, tensor: torch.Tensor, wide: re.Pattern[str] | None
    ) -> torch.dtype | None:
        """What a weight is cast to; None for integers."""
        if not tensor.is_floating_point():
            return None
        return torch.float32 if wide and wide.search(name) else self._dtype

    def drop_weights(self) -> None:
        """Let go of the weights of the network at work."""
        self._loaded = {}
        _drop_weights(self.working)

    @property
    def kept_per_token(self) -> int:
        """Bytes that layers keep of a token for the way back, about: what matrices read and give.

        Logits are not counted: they are of few tokens.
        """
        return self._working.widths * self._dtype.itemsize

    def names(self, state: State) -> dict[str, str]:
        """For each weight of the network at work, its name in the state that was loaded.

        What was made of several is called as in the network, see `by_stored_names`.
        """
        conversion, aliases = self._working.conversion(state), self._working.aliases
        placed = {**conversion.names, **{name: name for name in conversion.fusions}}
        return {
            name: placed[name if name in placed else aliases[name]]
            for name in self.working.state_dict()
            if name in placed or aliases.get(name) in placed
        }

    def by_stored_names(self, state: State, take: TakeGradient) -> TakeGradient:
        """Takes gradients by the weights of the network at work, hands on those by a model's.

        Args:
            state: the model's weights, which were loaded.
            take: called with names in the state; more than once where a tensor was cut.
        """
        fusions = self._working.conversion(state).fusions

        def taken(name: str, gradient: torch.Tensor) -> None:
            if name not in fusions:
                take(name, gradient)
                return
            for stored, part in fusions[name].transposed(name, gradient).items():
                take(stored, part)

        return taken if fusions else take

    def _replaced(self, placed: State) -> bool:
        """Copy weights over those at work, if they are of the same shapes.

        Then they stay where they are in memory, and recorded passes can be replayed.
        """
        own = self.working.state_dict(keep_vars=True)
        names = [name for name in own if name in placed]
        covered = {self._working.aliases.get(name) for name in names} | set(names)
        pairs = [(own[name], placed[name]) for name in names]
        if set(own) - covered or any(a.shape != b.shape or a.is_meta for a, b in pairs):
            return False
        with torch.inference_mode():
            torch._foreach_copy_([a for a, _ in pairs], [b for _, b in pairs], non_blocking=True)
        return True

    def _network(self, state: State) -> Network:
        """The network that fits a model: the founders', unless its config has other layers."""
        if not isinstance(state, RoutedState):
            return self._founders
        kinds = layer_kinds(state.config)
        if kinds == self._founders_kinds:
            return self._founders
        if kinds not in self._shells:
            while len(self._shells) >= MAX_SHELLS:
                del self._shells[next(iter(self._shells))]
            self._shells[kinds] = self._shell(state.config)
        return self._shells[kinds]

    def _shell(self, config: Mapping[str, Any]) -> Network:
        """A network without weights.

        The default dtype of the process must not change while others compute, so it is built in
        fp32; weights bring their own dtype, and buffers are cast where they are used.
        """
        with _BUILDING, _NoWeights():
            module = loader_of(self._config).from_config(
                type(self._config).from_dict(dict(config)),
                trust_remote_code=False,
                dtype=torch.float32,
            )
        module.requires_grad_(requires_grad=False).eval()
        aliases = _aliases(module)
        _drop_weights(module)
        for part in module.modules():
            for name, buffer in part.named_buffers(recurse=False):
                setattr(part, name, buffer.to(self._device))
        return Network(module, aliases)


def network_of(path: Path, state: State) -> Any:
    """A transformers model with some weights, on the CPU, in their own dtype, in evaluation mode.

    Args:
        path: a founder's folder, for its config.
        state: weights by name.

    Raises:
        CheckpointError: the names of the weights do not fit the architecture.
    """
    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    dtype = next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())
    networks = Networks(config, dtype, torch.device("cpu"))
    networks.load_weights(state)
    return networks.working


def loader_of(config: Any) -> Any:
    """The class of transformers that makes networks of a config, as transformers reads it."""
    return getattr(transformers, family_of(config.to_dict()).loader)


def _kept_wide(module: Any, dtype: torch.dtype) -> re.Pattern[str] | None:
    """Matches names of the weights that transformers keeps in fp32 whatever dtype is asked for."""
    if dtype not in {torch.float16, torch.bfloat16}:
        return None
    patterns = set(getattr(module, "_keep_in_fp32_modules_strict", None) or ())
    if dtype == torch.float16:
        patterns |= set(getattr(module, "_keep_in_fp32_modules", None) or ())
    return re.compile("|".join(sorted(patterns)).replace("*", ".*")) if patterns else None


class _NoWeights(TorchFunctionMode):
    """A context in which this thread's `torch.empty` allocates nothing.

    Weights are created by it; the buffers that no checkpoint holds are not.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        override = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **override})


def context_length_of(config: Any) -> int:
    """Tokens that a model reads at most, as its config (as transformers reads it) says."""
    text = config.get_text_config()
    stated = (getattr(text, key, None) for key in ("max_position_embeddings", "max_seq_len"))
    return next((most for most in stated if most is not None and most > 0), 1 << 30)


def layer_kinds(config: Mapping[str, Any]) -> str:
    """The number of layers and what a config says of each: equal for models that share a network.

    Args:
        config: content of a config.json.
    """
    architecture = architecture_of(config)
    if architecture is None:
        return "unknown"
    count = architecture.layers(config)
    lists = architecture.layer_lists(architecture.settings(config), count)
    return f"{count} layers, {sorted(lists.items())}"


def _without_chance(config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """A network whose weights are zeros on a device: to draw them takes long, for nothing.

    Of an architecture that cannot be built so, weights are drawn, on the CPU.
    """
    build = partial(loader_of(config).from_config, config, trust_remote_code=False, dtype=dtype)
    try:
        with _BUILDING, _NoWeights():
            module = build()
    except Exception:  # noqa: BLE001 - it looks at the weights that it makes, each in its own way
        return build()
    if any(buffer.is_meta for buffer in module.buffers()):  # no checkpoint may hold it
        return build()
    made: dict[int, torch.nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            if weight.is_meta:
                zeros = torch.zeros(weight.shape, dtype=weight.dtype, device=device)
                made.setdefault(id(weight), torch.nn.Parameter(zeros, requires_grad=False))
                setattr(part, name, made[id(weight)])
    return module


def _drop_weights(module: torch.nn.Module) -> None:
    """Release a network's weights; other references to them stay valid."""
    empty = {
        name: weight.to("meta") for name, weight in module.named_parameters(remove_duplicate=False)
    }
    module.load_state_dict(empty, strict=False, assign=True)


def _aliases(module: torch.nn.Module) -> dict[str, str]:
    """Names in the state dict that are one tensor with another."""
    same: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        same.setdefault(id(tensor), []).append(name)
    return {
        name: twin for names in same.values() for name in names for twin in names if name != twin
    }
