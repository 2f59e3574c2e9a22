"""What the tests of merging share: checkpoints made of numbers, recipes in a line."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from population.config import shipped_data
from population.errors import PopulationError
from population.merging.merge import Merged, merge
from population.merging.recipe import Recipe, parse_recipe

TOKENS = 79
"""Of the shipped tokenizer."""

LAYERS = 4
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "vocab_size": TOKENS,
    "tie_word_embeddings": False,
    "dtype": "float32",
}

GOOD_RECIPE: dict[str, Any] = {
    "recipe": 1,
    "sources": {"base": {"path": "models/base"}, "math": {"path": "models/math"}},
    "steps": [
        {
            "name": "calm",
            "method": "slerp",
            "base": "base",
            "models": [{"model": "math"}],
            "parameters": {"t": 0.4},
        },
        {
            "name": "deep",
            "method": "route",
            "models": ["calm", "math"],
            "path": [[0, 0, 1.0], [0, 1, 1.0], [1, 1, 0.7], [0, 2, 1.0]],
        },
    ],
    "output": {"dtype": "bfloat16"},
}
"""Without a fault; its models do not exist."""

Arrays = dict[str, np.ndarray[Any, Any]]


def llama_shapes(layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    """The tensors of a tiny Llama."""
    inside = {
        "self_attn.q_proj.weight": (8, 8),
        "self_attn.k_proj.weight": (4, 8),
        "self_attn.v_proj.weight": (4, 8),
        "self_attn.o_proj.weight": (8, 8),
        "mlp.gate_proj.weight": (12, 8),
        "mlp.up_proj.weight": (12, 8),
        "mlp.down_proj.weight": (8, 12),
        "input_layernorm.weight": (8,),
        "post_attention_layernorm.weight": (8,),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (TOKENS, 8)}
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in inside.items()}
    return shapes | {"model.norm.weight": (8,), "lm_head.weight": (TOKENS, 8)}


def write_llama(
    folder: Path, fill: float | int | None = None, seed: int = 0, layers: int = LAYERS
) -> Path:
    """A tiny Llama made without torch: every weight is `fill`, or drawn."""
    draw = np.random.default_rng(seed)
    arrays: Arrays = {
        name: (draw.normal(size=shape) if fill is None else np.full(shape, fill)).astype(np.float32)
        for name, shape in llama_shapes(layers).items()
    }
    folder.mkdir(parents=True)
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(LLAMA | {"num_hidden_layers": layers}))
    give_tokenizer(folder)
    return folder


def give_tokenizer(folder: Path) -> None:
    """Put the shipped tokenizer beside a model."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped_data() / "founders" / "base" / name, folder)


def arrays_of(folder: Path) -> Arrays:
    """All weights of a folder or file, in fp32."""
    from safetensors import safe_open  # noqa: PLC0415

    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else [folder]
    found: Arrays = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                found[name] = opened.get_tensor(name).float().numpy()
    return found


def recipe_of(
    sources: Mapping[str, Path | str], *steps: Mapping[str, Any], **output: Any
) -> Recipe:
    """A recipe over sources; steps without a name are called s0, s1, ..."""
    named = [{"name": f"s{number}", **step} for number, step in enumerate(steps)]
    content = {
        "sources": {name: {"path": str(path)} for name, path in sources.items()},
        "steps": named,
        "output": output,
    }
    return parse_recipe(json.dumps(content), "test")


def linear(weights: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A linear step that is not normalized."""
    models = [{"model": name, "parameters": {"weight": w}} for name, w in weights.items()]
    return {"method": "linear", "models": models, "parameters": {"normalize": False}} | more


def merged(recipe: Recipe, folder: Path, **options: Any) -> Merged:
    """Run a recipe with one thread."""
    return merge(recipe, folder, threads=1, **options)


def refused(act: Callable[[], object], *parts: str) -> str:
    """It is refused in one line that holds these parts."""
    with pytest.raises(PopulationError) as caught:
        act()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return message


def names_of(layers: Sequence[int], part: str) -> list[str]:
    """A tensor's name in some layers."""
    return [f"model.layers.{layer}.{part}" for layer in layers]
