"""Routes: which can be, how they are written, and what happens to which tensor by its name."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from population.errors import RecipeError
from population.merging.routes import (
    IDENTITY,
    Route,
    RouteStep,
    fold,
    from_indicators,
    sources_of,
)
from population.models.architectures import architecture_of, layer_of
from tests.route_models import ROUTE, config_of


def test_a_scale_that_would_be_lost_is_refused() -> None:
    config = config_of("llama").to_dict()
    architecture = architecture_of(config)
    assert architecture is not None
    parts = ("input_layernorm", "post_attention_layernorm", "mlp.down_proj")
    names = [f"model.layers.{i}.{part}.weight" for i in range(3) for part in parts]
    with pytest.raises(RecipeError, match=r"layer 0 of model 0 has no tensor like .*o_proj"):
        sources_of(ROUTE, architecture, config, [names, names])
    names += [f"model.layers.{i}.self_attn.o_proj.weight" for i in range(3)]
    with pytest.raises(RecipeError, match=r"model 0 has no tensor like norm.*take the sign"):
        sources_of(ROUTE, architecture, config, [names, names])
    with pytest.raises(RecipeError, match="model 1 has no layer 7"):
        sources_of(Route((RouteStep(1, 7),)), architecture, config, [names, names])


def test_names_follow_the_model_that_gives_the_embeddings() -> None:
    config = {"model_type": "gpt2", "n_layer": 1, "n_embd": 8}
    architecture = architecture_of(config)
    assert architecture is not None
    long = ["transformer.wte.weight", "transformer.h.0.ln_1.weight", "transformer.ln_f.weight"]
    short = ["wte.weight", "h.0.ln_1.weight", "h.0.attn.bias", "ln_f.weight"]
    route = Route((RouteStep(1, 0), RouteStep(0, 0)))
    sources = sources_of(route, architecture, config, [long, short])
    assert sources == {
        "transformer.wte.weight": (0, "transformer.wte.weight", IDENTITY),
        "transformer.h.0.ln_1.weight": (1, "h.0.ln_1.weight", IDENTITY),
        "transformer.h.0.attn.bias": (1, "h.0.attn.bias", IDENTITY),
        "transformer.h.1.ln_1.weight": (0, "transformer.h.0.ln_1.weight", IDENTITY),
        "transformer.ln_f.weight": (0, "transformer.ln_f.weight", IDENTITY),
    }
    assert layer_of(architecture, "transformer.h.11.mlp.c_fc.weight") == 11
    assert layer_of(architecture, "transformer.wte.weight") is None


def test_layers_that_depend_on_their_number_are_refused() -> None:
    config = {"model_type": "gpt2", "n_layer": 2, "scale_attn_by_inverse_layer_idx": True}
    architecture = architecture_of(config)
    assert architecture is not None
    with pytest.raises(RecipeError, match="gpt2 cannot be moved: its attention is divided by"):
        fold(Route((RouteStep(0, 1),)), architecture, config)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "a route needs one step"),
        (
            (RouteStep(0, 0), RouteStep(0, 1, 0.0)),
            "step 1: expected a finite scale other than 0, got 0.0",
        ),
        ((RouteStep(0, 0, math.nan),), "step 0: expected a finite scale"),
        ((RouteStep(0, -1),), "step 0: models and layers are numbered from 0"),
        ((RouteStep(0, 0, 1e-20),) * 2, "step 1: the scales up to here multiply to"),
    ],
)
def test_a_route_that_cannot_be_is_refused(steps: tuple[RouteStep, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Route(steps)


def test_a_route_from_indicators() -> None:
    # Two models of 2 and 1 layers, the row of 3 repeated twice.
    indicators = [1, 0, 1, 0, 1, 1]
    path = [(0, 0), (1, 0), (0, 1), (1, 0)]

    def steps(*scales: float) -> tuple[RouteStep, ...]:
        return tuple(RouteStep(*place, scale) for place, scale in zip(path, scales, strict=True))

    assert from_indicators(indicators, [2, 1], 2).steps == steps(1, 1, 1, 1)
    per_slot = from_indicators(indicators, [2, 1], 2, scales=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert per_slot.steps == steps(0.1, 0.3, 0.5, 0.6)
    per_step = from_indicators(indicators, [2, 1], 2, scales=[2, 3, 4, 5])
    assert per_step.steps == steps(2, 3, 4, 5)
    matrix = np.arange(1.0, 10.0).reshape(3, 3)
    by_matrix = from_indicators(np.array(indicators).tolist(), [2, 1], 2, matrix=matrix)
    # Embeddings into layer 0; 0 into 2; 2 into 1; 1 into 2.
    assert by_matrix.steps == steps(1, matrix[0, 2], matrix[2, 1], matrix[1, 2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"indicators": [1, 1]}, "expected 3 indicators, 1 times 3 layers, got 2"),
        ({"indicators": [1, 2, 0]}, "expected indicators of 0 or 1, got 2"),
        ({"indicators": [0, 0, 0]}, "a route needs one step"),
        ({"indicators": [1, 1, 0], "scales": [1.0]}, "3 slots or of 2 steps, got 1"),
        ({"indicators": [1, 1, 0], "matrix": [[1.0]]}, "a matrix of 3 x 3 scales"),
        ({"indicators": [1, 1, 0], "matrix": [[1.0]], "scales": [1.0]}, "not both"),
        ({"indicators": [1, 0, 0], "scales": [0.0]}, "step 0: expected a finite scale"),
    ],
)
def test_indicators_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_indicators(layers=[2, 1], **given)


numbers = st.floats(-8, 8)


@given(st.lists(st.floats(0.1, 10) | st.floats(-10, -0.1), min_size=1, max_size=6), numbers)
def test_what_scales_do_to_a_gemma_norm_is_what_they_do_to_a_plain_one(
    scales: list[float], weight: float
) -> None:
    route = Route(tuple(RouteStep(0, 0, scale) for scale in scales))
    config = {"model_type": "gemma2", "num_hidden_layers": 1}
    architecture = architecture_of(config)
    assert architecture is not None
    done = fold(route, architecture, config)
    for layer, stream in zip(done.layers, route.streams, strict=True):
        reading = layer.affine("pre_feedforward_layernorm.weight")(weight)
        assert math.isclose(1 + reading, math.copysign(1, stream) * (1 + weight), abs_tol=1e-9)
        writing = layer.affine("post_attention_layernorm.weight")(weight)
        assert math.isclose(stream * (1 + writing), 1 + weight, rel_tol=1e-9, abs_tol=1e-9)
        assert layer.affine("mlp.down_proj.weight") is IDENTITY
