"""Weights of routes: the founders' bits, transformers' answers, and what the merge engine makes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lineage.records import Floats, Item
from population.config import shipped_data
from population.errors import CheckpointError, RecipeError
from population.evaluation import networks
from population.evaluation.evaluator import Evaluator
from population.evaluation.networks import layer_kinds
from population.evaluation.pool import EvaluatorPool
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.merging.merge import merge
from population.merging.recipe import Blocks, Source
from population.merging.routes import Route, RouteStep
from population.models.blocks import Granularity, layout_of
from population.models.opening import open_checkpoint
from population.weights import materialise_routes
from population.weights.genomes import Basis, route_recipe
from population.weights.materialise import Materialiser, State, state_sha256
from population.weights.materialise_routes import RouteMaterialiser
from tests.merge_helpers import give_tokenizer
from tests.model_zoo import Zoo, answers
from tests.population.merging.test_merge_slices_and_routes import scaled, stacked
from tests.route_models import config_of, tiny

SHIPPED = shipped_data() / "founders"
NAMES = ("base", "reverse", "rotate")
FLOW = FlowSpace((4, 4, 4), repeats=2, scales=(0.5, 2.0))
LONG = [(1, 0, 1.0), (1, 1, 0.6), (2, 1, 1.7), (2, 2, 1.0), (1, 3, 1.3), (2, 3, 0.8)]


def maker_of(
    folders: Sequence[Path],
    space: FlowSpace | BothSpace,
    base: int | None = 0,
    granularity: Granularity = "half",
) -> RouteMaterialiser:
    founders = [open_checkpoint(folder) for folder in folders]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, founders[0].config, granularity)
    basis = Basis(tuple(founder.name for founder in founders), base)
    return RouteMaterialiser(founders, basis, layout, space)


def shipped(space: FlowSpace | BothSpace, base: int | None = 0) -> RouteMaterialiser:
    return maker_of([SHIPPED / name for name in NAMES], space, base)


def both_of(base: int | None, blocks: int, models: int = 1) -> BothSpace:
    vectors = tuple(founder for founder in range(3) if founder != base)
    return BothSpace(vectors, blocks, -1, 2, FlowSpace((4,) * (3 + models), 2), models)


def genome_of(space: FlowSpace, steps: Sequence[tuple[int, int, float]]) -> Floats:
    genome = space.genome(Route(tuple(RouteStep(*step) for step in steps)))
    assert genome is not None
    return genome


def random_genome(space: FlowSpace | BothSpace, seed: int, flow: Floats) -> Floats:
    """Random coefficients, if there are any, before a route."""
    count = space.coefficients if isinstance(space, BothSpace) else 0
    return np.concatenate([np.random.default_rng(seed).normal(0.3, 0.4, count), flow])


def evaluator_of(folder: Path, dtype: str = "float32") -> Evaluator:
    return Evaluator(folder, stored=torch.bfloat16, device="cpu", dtype=dtype)


def logits(model: Any) -> torch.Tensor:
    tokens = torch.arange(40).reshape(2, 20) + 2
    with torch.inference_mode():
        found: torch.Tensor = model(tokens).logits
    return found


@pytest.mark.parametrize("base", [0, 1, None])
@pytest.mark.parametrize("kind", ["flow", "both"])
def test_a_founder_is_its_own_bits(kind: str, base: int | None) -> None:
    made = shipped(FLOW if kind == "flow" else both_of(base, 9), base)
    genomes = [made.space.founder(number) for number in range(3)]
    for founder, state in zip(made.founders, made.siblings(genomes), strict=True):
        assert state_sha256(state) == founder.sha256()


def test_a_frankenmerge_is_what_transformers_makes_of_the_layers(zoo: Zoo) -> None:
    folders = [zoo("llama", "a"), zoo("llama", "b")]
    path = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (0, 2), (1, 3)]
    space = FlowSpace((4, 4), repeats=2)
    made = maker_of(folders, space)
    state = made.one(genome_of(space, [(*step, 1.0) for step in path]))
    assert state.config["num_hidden_layers"] == 7
    evaluator = evaluator_of(folders[0])
    evaluator.load_weights(state)
    assert torch.equal(answers(evaluator._model), answers(stacked(folders, path)))


@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2"])
def test_scales_are_a_scaled_forward_pass(kind: str, zoo: Zoo) -> None:
    folders = [zoo(kind, "a"), zoo(kind, "b")]
    path = [(0, 0, 1.0), (1, 0, 1.6), (1, 1, 0.6), (0, 2, 1.0), (1, 2, 0.8)]
    space = FlowSpace((3, 3) if kind == "gpt2" else (4, 4), repeats=2, scales=(0.5, 2.0))
    made = maker_of(folders, space)
    evaluator = evaluator_of(folders[0])
    evaluator.load_weights(made.one(genome_of(space, path)))
    plain = stacked(folders, [(model, layer) for model, layer, _ in path], kind)
    unscaled = answers(plain)
    expected = answers(scaled(plain, [scale for *_, scale in path]))
    size = expected.abs().max()
    assert (answers(evaluator._model) - expected).abs().max() <= 1e-3 * size
    assert (unscaled - expected).abs().max() > 0.02 * size


def test_one_evaluator_loads_models_of_any_depth(zoo: Zoo, tmp_path: Path) -> None:
    """Each scores what an evaluator that knows no other model scores, to the bit."""
    made = shipped(FLOW)
    evaluator = evaluator_of(SHIPPED / "base")
    items = [Item(f"{n}", "rev", "search", f"rev:{'abc'[n:]}=", "cba"[: 3 - n]) for n in range(3)]
    prepared = evaluator.prepare_keys(items)
    paths = [LONG, LONG[:2], [(1, layer, 1.0) for layer in range(4)], LONG, LONG[1:4]]
    twin = evaluator.clone()
    for number, path in enumerate(paths):
        state = made.one(genome_of(FLOW, path))
        folder = tmp_path / str(number)
        alone = AutoModelForCausalLM.from_config(
            type(evaluator._model.config).from_dict(state.config), dtype=torch.float32
        )
        alone.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
        alone.tie_weights()
        alone.eval().save_pretrained(folder)
        give_tokenizer(folder)
        evaluator.load_weights(state)
        assert evaluator._model.config.num_hidden_layers == len(path)
        assert torch.equal(logits(evaluator._model), logits(alone))
        fresh = evaluator_of(folder)
        fresh.load_weights(dict(state))
        np.testing.assert_array_equal(evaluator.score(prepared), fresh.score(prepared))
        assert evaluator.generate(items) == fresh.generate(items)
    founder = {name: made.founders[0].tensor(name) for name in made.founders[0].tensors}
    evaluator.load_weights(founder)
    twin.load_weights(made.one(genome_of(FLOW, LONG)))  # which must not disturb the other
    assert torch.equal(
        logits(evaluator._model),
        logits(AutoModelForCausalLM.from_pretrained(SHIPPED / "base", dtype=torch.float32)),
    )
    with pytest.raises(CheckpointError, match=r"lacks model\.layers\.2"):
        evaluator.load_weights(dict(made.one(genome_of(FLOW, LONG[:2]))))


def test_only_the_network_at_work_holds_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made, evaluator = shipped(FLOW), evaluator_of(SHIPPED / "base", "bfloat16")
    for depth in (6, 2, 3):
        evaluator.load_weights(made.one(genome_of(FLOW, LONG[:depth])))
    first, shells = evaluator._networks._founders, evaluator._networks._shells
    modules = [network.module for network in (first, *shells.values())]
    assert [module.config.num_hidden_layers for module in modules] == [4, 6, 2, 3]
    assert all(weight.is_meta for module in modules[:3] for weight in module.parameters())
    assert {weight.dtype for weight in modules[3].parameters()} == {torch.bfloat16}
    monkeypatch.setattr(networks, "MAX_SHELLS", 3)
    evaluator.load_weights(made.one(genome_of(FLOW, LONG[:1])))
    assert [shell.module.config.num_hidden_layers for shell in shells.values()] == [2, 3, 1]


def test_a_pool_scores_models_of_any_depth_as_one_evaluator_does() -> None:
    """Its evaluators build networks while others compute."""
    made, first = shipped(FLOW), evaluator_of(SHIPPED / "base")
    items = [Item(str(n), "rev", "search", f"rev:{'ab' * n}=", "ba" * n) for n in range(1, 5)]
    prepared = first.prepare_keys(items)
    genomes = [genome for _, genome, _ in FLOW.initial_genomes(np.random.default_rng(0), 12)]

    def score(_number: int, evaluator: Evaluator, _state: State) -> list[float]:
        return [float(value) for value in evaluator.score(prepared)[1]]

    together = EvaluatorPool(first, 3).map(made.siblings(genomes), score)
    alone = evaluator_of(SHIPPED / "base")
    for genome, expected in zip(genomes, together, strict=True):
        alone.load_weights(made.one(genome))
        assert score(0, alone, {}) == expected


@pytest.mark.parametrize("base", [0, 2, None])
def test_merged_layers_alone_are_the_merged_model(base: int | None) -> None:
    founders = [open_checkpoint(SHIPPED / name) for name in NAMES]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, founders[0].config, "group")
    space = both_of(base, len(layout.blocks))
    basis = Basis(NAMES, base)
    made = RouteMaterialiser(founders, basis, layout, space)
    plain = Materialiser(founders, basis, layout)
    genome = random_genome(space, 0, space.flow.founder(3))
    state = made.one(genome)
    assert state_sha256(state) == state_sha256(plain.one(space.merged(genome)[0]))
    assert layer_kinds(state.config) == layer_kinds(founders[0].config)


def test_a_model_is_merged_only_if_the_route_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = shipped(both_of(0, 9))
    merged: list[str] = []
    true = RouteMaterialiser._merged

    def counted(self: Any, genome: Floats, source: int, tensor: str) -> torch.Tensor:
        merged.append(tensor)
        return true(self, genome, source, tensor)

    monkeypatch.setattr(RouteMaterialiser, "_merged", counted)
    assert isinstance(made.space, BothSpace)
    made.one(random_genome(made.space, 0, genome_of(made.space.flow, LONG)))
    assert not merged
    made.one(random_genome(made.space, 0, genome_of(made.space.flow, [*LONG[:2], (3, 3, 0.9)])))
    assert {name.split(".")[2] for name in merged if ".layers." in name} == {"3"}


SAME_WEIGHTS = [
    (kind, base, ("bfloat16", "float32")[(row + column) % 2])
    for row, kind in enumerate(("flow", "both", "twice"))
    for column, base in enumerate((0, 2, None))
]
"""Every pair of a kind, a base and a type of numbers occurs."""


@pytest.mark.parametrize(("kind", "base", "dtype"), SAME_WEIGHTS)
def test_a_recipe_makes_the_very_same_weights(
    kind: str, base: int | None, dtype: str, zoo: Zoo, tmp_path: Path
) -> None:
    names = NAMES if dtype == "bfloat16" else ("a", "b", "c")
    folders = [SHIPPED / name if dtype == "bfloat16" else zoo("llama", name) for name in names]
    blocks = 9  # of four layers in halves, and what lies outside
    models = {"flow": 0, "both": 1, "twice": 2}[kind]
    space = both_of(base, blocks, models) if models else FLOW
    made = maker_of(folders, space, base)
    basis, layout = Basis(names, base), made_layout(made)
    sources = [Source(path=str(folder)) for folder in folders]
    paths = [LONG, [(1, 2, 1.0), (0, 3, 1.0)], [(2, layer, 1.0) for layer in range(4)]]
    if models:
        paths += [[(0, 0, 1.0), (3, 1, 1.2), (3, 2, 1.0), (1, 3, 0.7)], [(3, 1, 1.0), (3, 3, 0.6)]]
    if models == 2:
        paths += [[(4, 0, 1.3), (3, 1, 1.0), (4, 3, 1.0)]]
    for number, path in enumerate(paths):
        flow = genome_of(space.flow if isinstance(space, BothSpace) else space, path)
        genome = random_genome(space, number, flow)
        if isinstance(space, BothSpace) and number == 3:
            genome[:blocks] = 0.0  # a founder without any weight
        recipe = route_recipe(basis, layout, Blocks(), space, genome, sources)
        state = made.one(genome)
        done = merge(recipe, tmp_path / f"{number}", threads=1)
        assert done.weights_sha256 == state_sha256(state)
        config = open_checkpoint(done.folder).config
        assert layer_kinds(config) == layer_kinds(state.config)
        loaded = AutoModelForCausalLM.from_pretrained(done.folder, dtype=torch.float32)
        evaluator = evaluator_of(folders[0])
        evaluator.load_weights(state)
        assert torch.equal(logits(evaluator._model), logits(loaded))


def made_layout(made: RouteMaterialiser) -> Any:
    shapes = {name: header.shape for name, header in made.founders[0].tensors.items()}
    return layout_of(shapes, made.founders[0].config, "half")


def test_a_merged_model_takes_a_name_that_no_founder_has(zoo: Zoo) -> None:
    space = both_of(0, 9)
    made = maker_of([zoo("llama", name) for name in "abc"], space)
    basis = Basis(("merged 0", "merged 1", "merged 3"), 0)
    genome = random_genome(space, 0, space.flow.founder(3))
    recipe = route_recipe(
        basis, made_layout(made), Blocks(), space, genome, [Source(path=x) for x in "abc"]
    )
    assert [step.name for step in recipe.steps] == ["merged 2", "offspring"]


def test_founders_are_the_same_read_once_or_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = both_of(0, 9)
    genomes = [
        random_genome(space, seed, genome_of(space.flow, path))
        for seed, path in enumerate([LONG, [(3, 0, 1.0), (0, 1, 0.9)], [(3, 0, 1.0), (3, 1, 1.0)]])
    ]
    made = shipped(space)
    hashes = [state_sha256(state) for state in made.siblings(genomes)]
    assert made.batch > 1
    for limit in ("KEEP_IN_MEMORY", "SIBLINGS_IN_MEMORY"):
        monkeypatch.setattr(materialise_routes, limit, 0)
    streamed = shipped(space)
    assert streamed.batch == 1
    assert [state_sha256(state) for state in streamed.siblings(genomes[::-1])] == hashes[::-1]


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Two models whose layers are of two kinds."""
    changes = {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4}
    config = config_of("gemma3_text", sharp=False, vocab_size=79, **changes)
    for seed, name in enumerate("ab"):
        tiny(config, seed).float().save_pretrained(tmp_path / name)
        give_tokenizer(tmp_path / name)
    return [tmp_path / name for name in "ab"]


def test_layers_keep_their_kind_wherever_they_go(mixed: list[Path], tmp_path: Path) -> None:
    """Of the same depth, but with other layers that see no further than their window."""
    space = FlowSpace((4, 4), repeats=2, scales=(0.5, 2.0))
    made, evaluator = maker_of(mixed, space), evaluator_of(mixed[0])
    basis, sources = Basis(("a", "b"), 0), [Source(path=str(folder)) for folder in mixed]
    for number, layers in enumerate([(0, 2, 1, 3), (1, 3, 2), (0, 1, 2, 3)]):
        genome = genome_of(space, [(layer % 2, layer, 1.1) for layer in layers])
        recipe = route_recipe(basis, made_layout(made), Blocks(), space, genome, sources)
        folder = merge(recipe, tmp_path / f"out{number}", threads=1).folder
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        evaluator.load_weights(made.one(genome))
        assert torch.equal(logits(evaluator._model), logits(loaded))
    assert len(evaluator._networks._shells) == 2


def test_founders_that_cannot_be_routed_are_refused(
    zoo: Zoo, make_checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(RecipeError, match=r"sources of \(3, 4\) layers, the models are of \(4, 4"):
        maker_of([zoo("llama", "a"), zoo("llama", "b")], FlowSpace((3, 4)))
    with pytest.raises(RecipeError, match=r"sources of \(4,\) layers"):
        maker_of([zoo("llama", "a"), zoo("llama", "b")], FlowSpace((4,)))
    founder = open_checkpoint(make_checkpoint("x"))
    space, basis = FlowSpace((2,), scales=(0.5, 1)), Basis(("x",), 0)
    layout = layout_of({}, founder.config, "half")

    def refuse(message: str, space: FlowSpace = space, **config: Any) -> None:
        other = replace(founder, config={**founder.config, **config})
        with pytest.raises(RecipeError, match=message):
            RouteMaterialiser([other], basis, layout, space)

    refuse("olmo2 cannot take scales other than 1: it has no norms", model_type="olmo2")
    refuse("the layers of a t5 are not known", model_type="t5", is_encoder_decoder=True)
    refuse("newcomer cannot take scales", model_type="newcomer")
    RouteMaterialiser(
        [replace(founder, config={**founder.config, "model_type": "newcomer"})],
        basis,
        layout,
        FlowSpace((2,), scales=(1, 1)),
    )
