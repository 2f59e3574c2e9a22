"""Random models of several kinds, and what the tests of merging ask of them.

References are plain torch formulas over state dicts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from tests.merge_helpers import LAYERS, TOKENS, give_tokenizer, linear

SMALL = {
    "vocab_size": TOKENS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
GPT2 = {"vocab_size": TOKENS, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64}
BERT = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}
VIT = BERT | {"image_size": 8, "patch_size": 4, "num_channels": 1}
KINDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "llama": ("llama", AutoModelForCausalLM, SMALL | {"tie_word_embeddings": False}),
    "tied": ("llama", AutoModelForCausalLM, SMALL | {"tie_word_embeddings": True}),
    "gpt2": ("gpt2", AutoModelForCausalLM, GPT2),
    "bert": ("bert", AutoModelForMaskedLM, BERT),
    "vit": ("vit", AutoModel, VIT),
}
ABC = ("a", "b", "c")


class Zoo:
    """Three random models of each kind, saved once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, kind: str, name: str = "a") -> Path:
        folder = self._folder / kind / name
        if not folder.exists():
            family, loader, settings = KINDS[kind]
            torch.manual_seed(ABC.index(name))
            model = loader.from_config(AutoConfig.for_model(family, **settings))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.4)
            model.save_pretrained(folder)
            if kind != "vit":
                give_tokenizer(folder)
        return folder

    def three(self, kind: str) -> dict[str, Path]:
        return {name: self(kind, name) for name in ABC}


def load(folder: Path, kind: str = "llama", dtype: Any = torch.float32) -> Any:
    return KINDS[kind][1].from_pretrained(folder, dtype=dtype).eval()


def answers(model: Any) -> torch.Tensor:
    """What a model says to some input."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        if model.config.model_type == "vit":
            found = model(torch.randn(2, 1, 8, 8, generator=generator)).last_hidden_state
        else:
            found = model(torch.randint(0, 70, (2, 9), generator=generator)).logits
    assert found.isfinite().all()
    result: torch.Tensor = found
    return result


def same_answers(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    mine, theirs = answers(one), answers(other)
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


Formula = Callable[..., torch.Tensor]


def slerp(one: torch.Tensor, other: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical interpolation of two tensors as vectors."""
    cosine = (one * other).sum() / (one.norm() * other.norm())
    if cosine > 1 - 1e-9:
        return (1 - t) * one + t * other
    angle = torch.acos(cosine)
    return (torch.sin((1 - t) * angle) * one + torch.sin(t * angle) * other) / torch.sin(angle)


STEPS: dict[str, tuple[dict[str, Any], Formula]] = {
    "linear": (
        linear({"a": 0.5, "b": 0.3, "c": 0.4}, parameters={"normalize": True}),
        lambda a, b, c: (0.5 * a + 0.3 * b + 0.4 * c) / 1.2,
    ),
    "task arithmetic": (
        {
            "method": "task_arithmetic",
            "base": "a",
            "models": [
                {"model": "b", "parameters": {"weight": 0.6}},
                {"model": "c", "parameters": {"weight": -0.2}},
            ],
        },
        lambda a, b, c: a + 0.6 * (b - a) - 0.2 * (c - a),
    ),
    "slerp": (
        {"method": "slerp", "base": "a", "models": ["b"], "parameters": {"t": 0.3}},
        lambda a, b, _: slerp(a, b, 0.3),
    ),
}
