"""Known architectures: how to re-order their layers and to scale the residual stream.

A layer reads the residual stream through norms and writes into it through output projections, or,
where a sub-layer ends in a norm of its own, through that norm. A norm forgets the scale of what it
reads, so a scale of the stream folds into what writes (`population.merging.routes` has the
derivation). Every entry was read off the modelling code of transformers 5; an architecture without
an entry is guessed by its names, which is enough to re-order its layers but not to scale them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from population.families import family_of

NormKind = Literal["rms", "rms1", "layer", "bare"]
"""How a norm uses its weight: times w (rms), times 1 + w as Gemma does (rms1), times w plus a bias
if there is one, after taking the mean off (layer), or not at all, having none (bare)."""

LayerLists = Callable[[Mapping[str, Any], int], dict[str, tuple[Any, ...]]]
"""From a config and its number of layers: the values that belong to one layer each, by key."""


@dataclass(frozen=True)
class Norm:
    """A norm, by the name of its module inside the layer (the last one: inside the model).

    Attributes:
        name: the module, without `.weight`.
        kind: how it uses its weight.
        optional: some checkpoints of the architecture lack it, and then nothing reads through it.
    """

    name: str
    kind: NormKind
    optional: bool = False


@dataclass(frozen=True)
class Place:
    """Where a tensor of a layer lies: its name is `base` + `stack` + `.layer.` + `suffix`."""

    base: str
    stack: str
    layer: int
    suffix: str


def _no_objection(_config: Mapping[str, Any]) -> str | None:
    return None


def _listed(config: Mapping[str, Any], _count: int) -> dict[str, tuple[Any, ...]]:
    """The lists with a value per layer that transformers itself knows, where they are given."""
    keys = ("layer_types", "mlp_layer_types", "no_rope_layers")
    return {key: tuple(config[key]) for key in keys if config.get(key) is not None}


@dataclass(frozen=True)
class Architecture:
    """What is known of an architecture.

    Attributes:
        families: its values of `model_type`.
        base: a regular expression for what stands before the layers in a tensor name. Checkpoints
            of one architecture differ in it (`model.layers.0.`, `layers.0.`).
        stack: a regular expression for the name of the list of layers.
        writers: regular expressions for what is added to the stream, matched against a tensor's
            name inside its layer; of each, a layer has one tensor at least.
        input_norms: norms that read the stream.
        post_norms: norms of a sub-layer's output before it is added to the stream.
        final_norm: the last norm, or None if unknown.
        embedding: the token embeddings, after `base`.
        head: a regular expression for the head's tensors.
        section: the part of the config that describes the layers, where it is not all of it.
        counts: config keys that hold the number of layers.
        layer_lists: finds or derives the values that belong to one layer each.
        index_keys: of these, the keys whose config value is the list of the layers that have it.
        derived_from: keys from which such values are derived by position; they would contradict.
        resets: keys that a routed config needs to have at these values.
        rope: the theta and the part of a head that is rotated, where a config does not say.
        unroutable: says of a config why its layers cannot be moved, or None.
        unscalable: why scales do not fold into the weights, or None where they do.
    """

    families: tuple[str, ...]
    base: str = r"(?:model\.)?"
    stack: str = "layers"
    writers: tuple[str, ...] = ()
    input_norms: tuple[Norm, ...] = ()
    post_norms: tuple[Norm, ...] = ()
    final_norm: Norm | None = None
    embedding: str = "embed_tokens.weight"
    head: str = r"lm_head\.(weight|bias)"
    section: str | None = None
    counts: tuple[str, ...] = ("num_hidden_layers",)
    layer_lists: LayerLists = _listed
    index_keys: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()
    resets: tuple[tuple[str, Any], ...] = ()
    rope: tuple[float, float] = (10000.0, 1.0)
    unroutable: Callable[[Mapping[str, Any]], str | None] = _no_objection
    unscalable: str | None = None

    @property
    def name(self) -> str:
        """Its first family, for messages."""
        return self.families[0]

    def settings(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of a config that describes the layers."""
        section: Mapping[str, Any] = config if self.section is None else config[self.section]
        return section

    def layers(self, config: Mapping[str, Any]) -> int:
        """The number of layers that a config states."""
        settings = self.settings(config)
        return int(next(settings[key] for key in self.counts if settings.get(key) is not None))


def architecture_of(config: Mapping[str, Any]) -> Architecture | None:
    """The architecture of a checkpoint.

    Args:
        config: the checkpoint's config.json.

    Returns:
        The known architecture, or a guess that allows paths but no scales, or None where not even
        that is safe: the number of layers is not stated, or there are several stacks of them.
    """
    family = config.get("model_type")
    entry = _KNOWN.get(family) if isinstance(family, str) else None
    if entry is not None:
        section = config if entry.section is None else config.get(entry.section)
        count_is_stated = isinstance(section, Mapping) and any(
            section.get(key) for key in entry.counts
        )
        return entry if count_is_stated else None
    if family_of(config).composed:
        return _of_language_part(config)
    several_stacks = config.get("is_encoder_decoder") or any(
        key.endswith("_config") and key != "quantization_config" and isinstance(value, Mapping)
        for key, value in config.items()
    )
    counts = tuple(key for key in _COUNTS if isinstance(config.get(key), int))
    if several_stacks or not counts:
        return None
    return replace(_GUESS, families=(str(family),), counts=counts)


def _of_language_part(config: Mapping[str, Any]) -> Architecture | None:
    """The architecture of the language part of a vision-language model."""
    text = config.get("text_config")
    inner = architecture_of(text) if isinstance(text, Mapping) else None
    if inner is None:
        return None
    return replace(
        inner,
        families=(str(config.get("model_type")),),
        base=r"(?:language_model\.model\.|model\.(?:(?:language|text)_model\.)?)",
        head=r"(?:language_model\.)?lm_head\.weight",
        section="text_config",
        unscalable="what it sees enters the stream beside the embeddings",
    )


def place_of(architecture: Architecture, tensor: str) -> Place | None:
    """Where in its layer a tensor lies; None if it lies in no layer.

    >>> llama = architecture_of({"model_type": "llama", "num_hidden_layers": 2})
    >>> place_of(llama, "model.layers.1.mlp.up_proj.weight")
    Place(base='model.', stack='layers', layer=1, suffix='mlp.up_proj.weight')
    """
    pattern = rf"(?P<base>{architecture.base})(?P<stack>{architecture.stack})\.(\d+)\.(.+)"
    match = re.fullmatch(pattern, tensor)
    if match is None:
        return None
    layer, suffix = match.groups()[-2:]
    return Place(match["base"], match["stack"], int(layer), suffix)


def layer_of(architecture: Architecture, tensor: str) -> int | None:
    """The number of the layer that a tensor belongs to; None if it lies in no layer."""
    place = place_of(architecture, tensor)
    return None if place is None else place.layer


def _types(sliding: Callable[[Mapping[str, Any], int], bool]) -> LayerLists:
    """Layer types as listed, or else derived from a layer's number."""

    def lists(config: Mapping[str, Any], count: int) -> dict[str, tuple[Any, ...]]:
        listed = _listed(config, count)
        derived = (
            "sliding_attention" if sliding(config, i) else "full_attention" for i in range(count)
        )
        return {"layer_types": tuple(derived)} | listed

    return lists


def _every(pattern: int) -> LayerLists:
    """Every so many layers attend fully, the others within a window."""
    return _types(lambda config, i: bool((i + 1) % config.get("sliding_window_pattern", pattern)))


def _qwen_window(config: Mapping[str, Any], layer: int) -> bool:
    windowed = config.get("use_sliding_window") and config.get("sliding_window", 4096) is not None
    return bool(windowed) and layer >= config.get("max_window_layers", 28)


def _qwen2_moe_window(config: Mapping[str, Any], layer: int) -> bool:
    inside = layer < config.get("max_window_layers", 28)
    return bool(config.get("use_sliding_window")) and inside and layer % 2 == 0


def _sparse(lists: LayerLists) -> LayerLists:
    """Which layers have one feed-forward network instead of experts, besides other lists."""

    def with_dense(config: Mapping[str, Any], count: int) -> dict[str, tuple[Any, ...]]:
        only, step = config.get("mlp_only_layers") or (), config.get("decoder_sparse_step") or 1
        dense = tuple(i in only or (i + 1) % step != 0 for i in range(count))
        return lists(config, count) | {"mlp_only_layers": dense}

    return with_dense


def _smollm3(config: Mapping[str, Any], count: int) -> dict[str, tuple[Any, ...]]:
    interval = config.get("no_rope_layer_interval", 4)
    rope = config.get("no_rope_layers") or [int((i + 1) % interval != 0) for i in range(count)]
    windowed = config.get("use_sliding_window") and config.get("sliding_window") is not None
    types = _types(lambda _, i: bool(windowed) and not rope[i])
    return {"no_rope_layers": tuple(rope)} | types(config, count)


def _gpt2(config: Mapping[str, Any]) -> str | None:
    if config.get("scale_attn_by_inverse_layer_idx"):
        return "its attention is divided by the layer's number (scale_attn_by_inverse_layer_idx)"
    if config.get("add_cross_attention"):
        return "its layers attend to an encoder too (add_cross_attention)"
    return None


def _guess_lists(config: Mapping[str, Any], count: int) -> dict[str, tuple[Any, ...]]:
    """Lists that are as long as the model is deep and named after layers."""
    return {
        key: tuple(value)
        for key, value in config.items()
        if re.search("layer|block", key) and isinstance(value, list) and len(value) == count
    }


def _guess_unroutable(config: Mapping[str, Any]) -> str | None:
    """Find a setting that may make a layer depend on its number."""
    count = next((config[key] for key in _COUNTS if isinstance(config.get(key), int)), 0)
    lists = _guess_lists(config, count)
    for key, value in config.items():
        may_depend = _TELLING.search(key) and not _HARMLESS.search(key)
        if may_depend and value and key not in lists:
            return f"{key} in its config may make a layer depend on its number"
    return None


_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_TELLING = re.compile(
    "layer|block_type|interval|period|every|pattern|_idx|indices|first_k|attention_types"
)
_HARMLESS = re.compile(r"^(num_hidden_layers|n_layers?|num_layers|layerdrop)$|layer_?norm")

_GUESS = Architecture(
    families=(),
    base=r"(?:[A-Za-z_]\w*\.)*?",
    stack="layers|h|blocks|block|layer",
    layer_lists=_guess_lists,
    unroutable=_guess_unroutable,
    unscalable="it is not known what reads and writes its residual stream",
)

_O_PROJ = r"self_attn\.o_proj\.(weight|bias)"
_DOWN_PROJ = r"mlp\.down_proj\.(weight|bias)"

_LLAMA = Architecture(
    families=("llama",),
    writers=(_O_PROJ, _DOWN_PROJ),
    input_norms=(Norm("input_layernorm", "rms"), Norm("post_attention_layernorm", "rms")),
    final_norm=Norm("norm", "rms"),
)
_QWEN2 = replace(
    _LLAMA,
    families=("qwen2", "qwen3"),
    layer_lists=_types(_qwen_window),
    derived_from=("max_window_layers",),
)
# transformers 5 fuses experts into one tensor when it loads them; on disk they stay one by one.
_QWEN_EXPERTS = (
    r"mlp\.(?:(?:experts\.\d+\.|shared_expert\.)?down_proj\.(weight|bias)|experts\.down_proj)"
)
_QWEN3_MOE = replace(
    _LLAMA,
    families=("qwen3_moe",),
    writers=(_O_PROJ, _QWEN_EXPERTS),
    layer_lists=_sparse(_listed),
    index_keys=("mlp_only_layers",),
    resets=(("decoder_sparse_step", 1),),
)
_GEMMA = replace(
    _LLAMA,
    families=("gemma",),
    input_norms=(Norm("input_layernorm", "rms1"), Norm("post_attention_layernorm", "rms1")),
    final_norm=Norm("norm", "rms1"),
)
_GEMMA2 = replace(
    _GEMMA,
    families=("gemma2",),
    writers=(),
    input_norms=(Norm("input_layernorm", "rms1"), Norm("pre_feedforward_layernorm", "rms1")),
    post_norms=(
        Norm("post_attention_layernorm", "rms1"),
        Norm("post_feedforward_layernorm", "rms1"),
    ),
    layer_lists=_types(lambda _, i: i % 2 == 0),
)
_GEMMA3 = replace(
    _GEMMA2,
    families=("gemma3_text",),
    layer_lists=_every(6),
    derived_from=("sliding_window_pattern", "_sliding_window_pattern"),
)
_LAYER_NORMS = (Norm("input_layernorm", "layer"), Norm("post_attention_layernorm", "layer"))
_STABLELM = replace(
    _LLAMA,
    families=("stablelm",),
    input_norms=(_LAYER_NORMS[0], replace(_LAYER_NORMS[1], optional=True)),
    final_norm=Norm("norm", "layer"),
    rope=(10000.0, 0.25),
)
_COHERE = replace(
    _LLAMA,
    families=("cohere",),
    input_norms=_LAYER_NORMS[:1],
    final_norm=Norm("norm", "layer"),
    rope=(500000.0, 1.0),
)
_OLMO2 = replace(
    _LLAMA,
    families=("olmo2",),
    writers=(),
    input_norms=(),
    post_norms=(Norm("post_attention_layernorm", "rms"), Norm("post_feedforward_layernorm", "rms")),
    unscalable="it has no norms before its sub-layers, so they see the scale of the stream",
)

_ALL = (
    # granite multiplies what it adds by a constant, which a factor on the weights passes through.
    replace(_LLAMA, families=("llama", "mistral", "phi3", "granite")),
    _QWEN2,
    replace(
        _LLAMA,
        families=("smollm3",),
        layer_lists=_smollm3,
        derived_from=("no_rope_layer_interval",),
        rope=(2000000.0, 1.0),
    ),
    replace(
        _LLAMA,
        families=("mixtral",),
        writers=(
            _O_PROJ,
            r"(?:block_sparse_moe|mlp)\.experts\.(?:\d+\.(?:w2|down_proj)\.weight|down_proj)",
        ),
        rope=(1000000.0, 1.0),
    ),
    _QWEN3_MOE,
    replace(
        _QWEN3_MOE,
        families=("qwen2_moe",),
        layer_lists=_sparse(_types(_qwen2_moe_window)),
        derived_from=("max_window_layers",),
    ),
    _GEMMA,
    _GEMMA2,
    _GEMMA3,
    replace(
        _GEMMA3,
        families=("gemma3",),
        base=r"(?:language_model\.model\.|model\.language_model\.)",
        head=r"(?:language_model\.)?lm_head\.weight",
        section="text_config",
    ),
    Architecture(
        families=("gpt2",),
        base=r"(?:transformer\.)?",
        stack="h",
        writers=(r"attn\.c_proj\.(weight|bias)", r"mlp\.c_proj\.(weight|bias)"),
        input_norms=(Norm("ln_1", "layer"), Norm("ln_2", "layer")),
        final_norm=Norm("ln_f", "layer"),
        embedding="wte.weight",
        counts=("n_layer", "num_hidden_layers"),
        unroutable=_gpt2,
    ),
    # One norm feeds attention and feed-forward, side by side.
    replace(
        _LLAMA,
        families=("phi",),
        writers=(r"self_attn\.dense\.(weight|bias)", r"mlp\.fc2\.(weight|bias)"),
        input_norms=_LAYER_NORMS[:1],
        final_norm=Norm("final_layernorm", "layer"),
        rope=(10000.0, 0.5),
    ),
    # Side by side or one after the other: the rule is the same.
    replace(
        _LLAMA,
        families=("gpt_neox",),
        base=r"(?:gpt_neox\.)?",
        writers=(r"attention\.dense\.(weight|bias)", r"mlp\.dense_4h_to_h\.(weight|bias)"),
        input_norms=_LAYER_NORMS,
        final_norm=Norm("final_layer_norm", "layer"),
        embedding="embed_in.weight",
        head=r"(?:lm_head|embed_out)\.weight",
        rope=(10000.0, 0.25),
    ),
    replace(
        _LLAMA,
        families=("starcoder2",),
        writers=(_O_PROJ, r"mlp\.c_proj\.(weight|bias)"),
        input_norms=_LAYER_NORMS,
        final_norm=Norm("norm", "layer"),
    ),
    _STABLELM,
    replace(
        _LLAMA,
        families=("olmo",),
        input_norms=(Norm("input_layernorm", "bare"), Norm("post_attention_layernorm", "bare")),
        final_norm=Norm("norm", "bare"),
    ),
    _COHERE,
    replace(
        _COHERE,
        families=("cohere2",),
        layer_lists=_every(4),
        derived_from=("sliding_window_pattern", "_sliding_window_pattern"),
        rope=(10000.0, 1.0),
    ),
    _OLMO2,
    replace(
        _OLMO2,
        families=("olmo3",),
        layer_lists=_types(lambda _, i: (i + 1) % 4 != 0),
        rope=(500000.0, 1.0),
    ),
)
_KNOWN = {family: replace(entry, families=(family,)) for entry in _ALL for family in entry.families}
