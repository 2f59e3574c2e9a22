"""What the tests of routes share: tiny random models of every kind whose layers can be moved."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from population.merging.routes import Route, RouteStep, route_config
from population.models.architectures import architecture_of

SIZES: dict[str, Any] = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS = {"head_dim": 6}
PARTIAL = {"num_attention_heads": 3, "num_key_value_heads": 3}  # heads that rotate in part
WINDOW = {"sliding_window": 3}  # shorter than the test's sequences, so that it shows
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": WINDOW,
    "qwen2": WINDOW | {"use_sliding_window": True, "max_window_layers": 2},
    "qwen3": HEADS,
    "gemma": HEADS,
    "gemma2": HEADS | WINDOW | {"query_pre_attn_scalar": 6},
    "gemma3_text": HEADS | WINDOW | MIXED | {"query_pre_attn_scalar": 6},
    "gpt2": {
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 32,
        "vocab_size": 31,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "phi": PARTIAL,
    "phi3": {},
    "gpt_neox": PARTIAL,
    "gpt_neox in sequence": PARTIAL | {"use_parallel_residual": False},
    "starcoder2": {},
    "stablelm": PARTIAL,
    "stablelm in parallel": PARTIAL | {"use_parallel_residual": True},
    "granite": {"residual_multiplier": 0.6, "embedding_multiplier": 2.0, "logits_scaling": 3.0},
    "cohere": {},
    "cohere2": WINDOW | MIXED,
    "smollm3": WINDOW | {"use_sliding_window": True, "no_rope_layer_interval": 2},
}
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
# Two models, a layer twice in a row, one skipped, backwards, scales up, down and below zero.
ROUTE = Route(
    (
        RouteStep(0, 0, 1.7),
        RouteStep(0, 1, 0.4),
        RouteStep(0, 1, -1.3),
        RouteStep(1, 2, 0.9),
        RouteStep(1, 0, 2.2),
    )
)


def config_of(kind: str, sharp: bool = True, **changes: Any) -> Any:
    """A tiny config; sharp: without the epsilon in which a scaled stream differs."""
    family = kind.partition(" ")[0]
    sizes = {} if family == "gpt2" else SIZES
    config = AutoConfig.for_model(family, **sizes | KINDS.get(kind, {}) | changes)
    for key in EPSILONS:
        if sharp and hasattr(config, key):
            setattr(config, key, 1e-14)
    return config


def tiny(config: Any, seed: int) -> PreTrainedModel:
    """A random model whose layers matter: strong weights, norms away from 1, large embeddings."""
    model = AutoModelForCausalLM.from_config(config, **EAGER).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.dim() == 1:
                parameter.add_(0.3 * noise)
            elif any(part in name for part in ("embed", "wte", "wpe")):
                parameter.copy_(2 * noise)
            else:
                parameter.copy_(noise * 1.5 / math.sqrt(SIZES["hidden_size"]))
    return model


def pair(kind: str, sharp: bool = True, **changes: Any) -> list[PreTrainedModel]:
    config = config_of(kind, sharp, **changes)
    return [tiny(config, 1), tiny(config, 2)]


def routed(models: Sequence[PreTrainedModel], route: Route) -> dict[str, Any]:
    configs = [model.config.to_dict() for model in models]
    architecture = architecture_of(configs[0])
    assert architecture is not None
    return route_config(route, architecture, configs)
