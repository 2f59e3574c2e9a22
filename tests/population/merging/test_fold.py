"""A path through layers with scales is a plain model that computes the same."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from population.errors import RecipeError
from population.merging.routes import Route, RouteStep, sources_of
from population.models.architectures import architecture_of
from tests.route_models import EAGER, KINDS, ROUTE, pair, routed

MOE = {
    "moe_intermediate_size": 12,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
UPRIGHT = Route((RouteStep(0, 0, 1.7), RouteStep(1, 1, 0.4), RouteStep(1, 1, 1.3)))


class Doubled(TorchFunctionMode):
    """Keeps in double what the modelling code casts to single: norms, softmax and rotations."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        def up(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        if func is torch.Tensor.float:
            func = torch.Tensor.double
        kwargs = {key: up(value) for key, value in (kwargs or {}).items()}
        return func(*(up(value) for value in args), **kwargs)


def layers_of(model: PreTrainedModel) -> Any:
    body = model.base_model
    return body.h if hasattr(body, "h") else body.layers


def logits(model: PreTrainedModel) -> torch.Tensor:
    tokens = torch.tensor([[3, 9, 4, 27, 11, 5, 30, 8], [7, 7, 1, 16, 22, 13, 2, 19]])
    with torch.no_grad(), Doubled():
        found: torch.Tensor = model(tokens, use_cache=False).logits
    assert found.dtype == torch.float64
    return found


@contextmanager
def scaled(model: PreTrainedModel, route: Route) -> Iterator[None]:
    """Multiply what enters each layer by its step's scale."""

    def multiply(scale: float) -> Any:
        return lambda _module, args: (args[0] * scale, *args[1:])

    handles = [
        layer.register_forward_pre_hook(multiply(step.scale))
        for layer, step in zip(layers_of(model), route.steps, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def empty(config: Mapping[str, Any]) -> PreTrainedModel:
    made = AutoConfig.for_model(**config)
    model = AutoModelForCausalLM.from_config(made, **EAGER).double().eval()
    assert len(layers_of(model)) == made.num_hidden_layers
    return model


def copied(models: Sequence[PreTrainedModel], route: Route, config: Any) -> PreTrainedModel:
    """The routed layers one after the other, copied module by module and not scaled."""
    model = empty(config)
    outer = {
        name: value
        for name, value in models[0].state_dict().items()
        if not any(part in name for part in (".layers.", ".h."))
    }
    model.load_state_dict(outer, strict=False)
    for layer, step in zip(layers_of(model), route.steps, strict=True):
        layer.load_state_dict(layers_of(models[step.model])[step.layer].state_dict())
    return model


def folded(models: Sequence[PreTrainedModel], route: Route, config: Any) -> PreTrainedModel:
    """The plain model that a route makes."""
    model = empty(config)
    states = [source.state_dict() for source in models]
    architecture = architecture_of(models[0].config.to_dict())
    assert architecture is not None
    sources = sources_of(route, architecture, models[0].config.to_dict(), states)
    state = {name: change(states[i][source]) for name, (i, source, change) in sources.items()}
    model.load_state_dict(state, strict=True)
    return model


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_folded_model_computes_what_the_scaled_path_computes(kind: str) -> None:
    models = pair(kind)
    config = routed(models, ROUTE)
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-12
    # Without the scales it is another model, and so it is without their sizes or their signs.
    assert error(logits(reference), expected) > 0.1
    for change in (abs, lambda scale: math.copysign(1.0, scale)):
        other = Route(tuple(RouteStep(s.model, s.layer, change(s.scale)) for s in ROUTE.steps))
        assert error(logits(folded(models, other, config)), expected) > 0.05


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_the_usual_epsilon_shows_little(kind: str) -> None:
    models = pair(kind, sharp=False)
    config = routed(models, ROUTE)
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-5


def test_olmo_takes_positive_scales_only() -> None:
    models = pair("olmo")
    config = routed(models, UPRIGHT)
    reference = copied(models, UPRIGHT, config)
    with scaled(reference, UPRIGHT):
        expected = logits(reference)
    # Its epsilon of 1e-5 is no setting.
    assert error(logits(folded(models, UPRIGHT, config)), expected) < 1e-4
    assert error(logits(reference), expected) > 0.05
    with pytest.raises(RecipeError, match="olmo cannot take negative scales: its norms have no"):
        folded(models, ROUTE, config)


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_experts_fold_by_the_names_on_disk(kind: str, tmp_path: Path) -> None:
    changes = MOE | ({"mlp_only_layers": [1]} if kind.startswith("qwen") else {})
    models = pair(kind, **changes)
    states = []
    for number, model in enumerate(models):
        model.save_pretrained(tmp_path / str(number))
        states.append(load_file(tmp_path / str(number) / "model.safetensors"))
    assert any(".experts.3." in name for name in states[0])
    config = routed(models, ROUTE)
    if kind.startswith("qwen"):
        assert config["mlp_only_layers"] == [1, 2]
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)

    # By the names in memory, where transformers fuses the experts ...
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-12
    # ... and by those on disk.
    architecture = architecture_of(config)
    assert architecture is not None
    sources = sources_of(ROUTE, architecture, config, states)
    # A layer that is taken twice lies in the file twice.
    merged = {
        name: change(states[i][source]).clone() for name, (i, source, change) in sources.items()
    }
    save_file(merged, tmp_path / "model.safetensors", metadata={"format": "pt"})
    AutoConfig.for_model(**config).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64, **EAGER)
    # The rotation's frequencies were made in single precision there.
    assert error(logits(loaded), expected) < 1e-5


@pytest.mark.parametrize("kind", ["olmo2", "olmo3"])
def test_without_norms_before_its_layers_a_model_takes_no_scales(kind: str) -> None:
    models = pair(kind)
    route = Route((RouteStep(0, 2), RouteStep(1, 0), RouteStep(1, 0)))
    config = routed(models, route)
    expected = logits(copied(models, route, config))
    assert torch.equal(logits(folded(models, route, config)), expected)
    with pytest.raises(RecipeError, match=f"{kind} cannot take scales .* no norms before"):
        routed(models, ROUTE)


def test_an_unscaled_route_of_one_model_is_that_model() -> None:
    models = pair("qwen2")
    route = Route(tuple(RouteStep(0, layer) for layer in range(3)))
    config = routed(models, route)
    assert config["layer_types"] == models[0].config.layer_types
    assert torch.equal(logits(folded(models, route, config)), logits(models[0]))
