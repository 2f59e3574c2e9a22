"""The backward pass: exact gradients for networks of many kinds, and nothing left behind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.func import functional_call

from lineage.records import Floats, Item
from population.evaluation.backward_pass import answer_loss
from population.evaluation.batching import (
    BatchLimits,
    PreparedItems,
    TokenSequence,
    batch_by_length,
)
from population.evaluation.evaluator import Evaluator
from population.evaluation.networks import Networks
from population.models.blocks import Granularity, layout_of
from population.models.checkpoints import Checkpoint
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser
from tests.route_models import config_of, tiny

KINDS = ("llama", "qwen2", "gemma", "gpt_neox", "gpt2", "qwen3_moe")
NAMES = ("base", "one", "two")


def answers(batch_tokens: int) -> PreparedItems:
    """Six answers of one to three tokens, and a text that is only a prompt."""
    draw = torch.Generator().manual_seed(3)

    def tokens(count: int) -> list[int]:
        return torch.randint(3, 31, (count,), generator=draw).tolist()

    sequences = [TokenSequence(n, tokens(3 + n % 3), tokens(1 + n % 3)) for n in range(6)]
    limits = BatchLimits(batch_tokens, 32, 31, torch.device("cpu"))
    return PreparedItems(7, batch_by_length(sequences, limits))


class Tried:
    """Three founders of a kind, in fp64, and the network that becomes what genomes make."""

    def __init__(
        self, folder: Path, kind: str, granularity: Granularity = "half", **changes: Any
    ) -> None:
        self.config = config = config_of(kind, **changes)
        founders = []
        for seed, name in enumerate(NAMES):
            model = tiny(config, seed)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(0.5)
            config.save_pretrained(folder / name)
            state = model.state_dict()
            if config.tie_word_embeddings:
                del state["lm_head.weight"]
            save_file(state, folder / name / "model.safetensors")
            founders.append(open_checkpoint(folder / name))
        shapes = {name: header.shape for name, header in founders[0].tensors.items()}
        layout = layout_of(shapes, founders[0].config, granularity)
        self.founders: list[Checkpoint] = founders
        self.maker = Materialiser(founders, Basis(NAMES, 0), layout, rounded=False)
        self.networks = Networks(config, torch.float64, torch.device("cpu"))
        shape = (2, len(layout.blocks))
        self.genome = np.random.default_rng(5).normal(0.4, 0.2, shape)

    def loss(
        self, genome: Floats, prepared: PreparedItems, **settings: bool
    ) -> tuple[float, Floats]:
        """The loss of a genome and its gradient."""
        gradient, state = np.zeros_like(self.genome), self.maker.one(genome)
        self.networks.load_weights(state)
        loss = answer_loss(
            self.networks.working,
            self.networks.names(state),
            prepared,
            lambda name, by_tensor: self.maker.add_gradient(genome, name, by_tensor, gradient),
            **settings,
        )
        return loss, gradient


@pytest.fixture
def tried(tmp_path: Path) -> Callable[..., Tried]:
    return lambda kind, *cut, **changes: Tried(tmp_path / "models", kind, *cut, **changes)


def log_likelihood(run: Callable[..., Any], prepared: PreparedItems) -> torch.Tensor:
    """The definition: the log-probability of each answer's tokens, from all logits, in sum."""
    total = torch.zeros((), dtype=torch.float64)
    for batch in prepared.batches:
        logs = run(batch.tokens).logits.log_softmax(dim=-1).flatten(0, 1)[batch.logit_positions]
        total = (
            total + logs.gather(-1, batch.targets.flatten()[batch.target_positions][:, None]).sum()
        )
    return total


def through_merging(tried: Tried, prepared: PreparedItems) -> tuple[float, Floats]:
    """The loss and its gradient by torch, through the sums over founders and the network."""
    # A network that never took weights, so that tied ones are tied.
    model = Networks(tried.config, torch.float64, torch.device("cpu")).working
    genome = torch.tensor(tried.genome, requires_grad=True)
    merged = {}
    for name, segments in tried.maker.layout.segments.items():
        base, *others = [founder.tensor(name) for founder in tried.founders]
        parts = [
            base.narrow(cut.dim, cut.start, cut.stop - cut.start)
            + sum(
                genome[row, cut.block]
                * (other - base).narrow(cut.dim, cut.start, cut.stop - cut.start)
                for row, other in enumerate(others)
            )
            for cut in segments
        ]
        merged[name] = torch.cat(parts, dim=segments[0].dim)

    def run(tokens: torch.Tensor) -> Any:
        return functional_call(model, merged, (tokens,), {"use_cache": False}, tie_weights=True)

    loss = -log_likelihood(run, prepared) / 6
    loss.backward()
    assert genome.grad is not None
    return float(loss.detach()), genome.grad.numpy()


CASES = [
    *((kind, "half") for kind in KINDS),
    ("llama", "group"),
    ("gpt2", "group"),
    ("qwen2", "tensor"),
]


@pytest.mark.parametrize(("kind", "granularity"), CASES)
def test_the_gradient_is_that_of_torch_through_the_merge(
    tried: Callable[..., Tried], kind: str, granularity: Granularity
) -> None:
    experts = {"num_experts": 4, "num_experts_per_tok": 2} if kind == "qwen3_moe" else {}
    models, prepared = tried(kind, granularity, **experts), answers(40)
    assert len(prepared.batches) > 1
    loss, gradient = models.loss(models.genome, prepared)
    expected_loss, expected = through_merging(models, prepared)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert np.abs(expected).max() > 0.01
    # transformers computes some norms in fp32 whatever the weights are.
    np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma", "gpt_neox", "gpt2"])
def test_the_gradient_is_what_small_steps_show(tried: Callable[..., Tried], kind: str) -> None:
    """Along random directions; GPT-2 alone computes everything in fp64."""
    models, prepared = tried(kind), answers(1000)
    _, gradient = models.loss(models.genome, prepared)
    length, tolerance = (1e-5, 1e-7) if kind == "gpt2" else (2e-3, 2e-3)
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(gradient.shape)
        step = length * direction
        ahead, behind = (models.loss(models.genome + s, prepared)[0] for s in (step, -step))
        shown = (ahead - behind) / (2 * length)
        scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(shown - (gradient * direction).sum()) < tolerance * scale


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_tied_weights_are_moved_by_both_of_their_places(
    tried: Callable[..., Tried], kind: str
) -> None:
    models, prepared = tried(kind, tie_word_embeddings=True), answers(1000)
    assert models.config.tie_word_embeddings
    _, gradient = models.loss(models.genome, prepared)
    _, expected = through_merging(models, prepared)
    np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_layers_may_be_computed_again(tried: Callable[..., Tried], kind: str) -> None:
    models, prepared, passed = tried(kind), answers(1000), 0
    kept = models.loss(models.genome, prepared)
    kinds = {"LlamaDecoderLayer", "GPT2Block"}
    layers = [p for p in models.networks.working.modules() if type(p).__name__ in kinds]

    def count(*_: object) -> None:
        nonlocal passed
        passed += 1

    for layer in layers:
        layer.mlp.register_forward_pre_hook(count)
    again = models.loss(models.genome, prepared, recompute=True)
    assert passed == 2 * len(layers)
    assert again[0] == kept[0]
    assert np.array_equal(again[1], kept[1])
    assert all("forward" not in vars(layer) for layer in layers)


def test_nothing_is_left_in_the_network(tried: Callable[..., Tried]) -> None:
    models, prepared = tried("llama"), answers(40)

    def broken(name: str, gradient: torch.Tensor) -> None:
        raise KeyboardInterrupt

    state = models.maker.one(models.genome)
    models.networks.load_weights(state)
    model = models.networks.working
    with pytest.raises(KeyboardInterrupt):
        answer_loss(model, models.networks.names(state), prepared, broken)
    for parameter in model.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert not parameter._post_accumulate_grad_hooks
    assert all(torch.equal(state[name], weight) for name, weight in model.named_parameters())


def test_no_more_than_one_gradient_is_kept_where_one_batch_is_all(
    tried: Callable[..., Tried],
) -> None:
    models, prepared = tried("llama"), answers(1000)
    state = models.maker.one(models.genome)
    models.networks.load_weights(state)
    model = models.networks.working
    seen: list[str] = []

    def take(name: str, gradient: torch.Tensor) -> None:
        seen.append(name)
        assert all(parameter.grad is None for parameter in model.parameters())

    answer_loss(model, models.networks.names(state), prepared, take)
    assert sorted(seen) == sorted(state)


def test_integers_want_no_gradient(tried: Callable[..., Tried]) -> None:
    models, prepared = tried("llama"), answers(1000)
    state = models.maker.one(models.genome)
    models.networks.working.register_buffer("counter", torch.tensor(3))
    models.networks.load_weights(state | {"counter": torch.tensor(5)})
    model, seen = models.networks.working, []
    names = models.networks.names(state | {"counter": torch.tensor(5)})
    answer_loss(model, names, prepared, lambda name, _: seen.append(name))
    assert "counter" in names
    assert sorted(seen) == sorted(state)


def test_an_evaluator_counts_three_for_each_item(make_checkpoint: Callable[..., Path]) -> None:
    founder = open_checkpoint(make_checkpoint("a"))
    evaluator = Evaluator(founder.path, stored=torch.float32, dtype="float32", device="cpu")
    items = [Item(f"t/search/{n}", "t", "search", f"{n}+1=", str(n + 1)) for n in range(5)]
    prepared = evaluator.prepare_keys(items)
    state: Mapping[str, torch.Tensor] = {n: founder.tensor(n) for n in founder.tensors}
    seen: set[str] = set()
    loss = evaluator.loss(dict(state), prepared, lambda name, _: seen.add(name))
    assert evaluator.meter.evaluations == 15
    assert seen == set(state)
    assert loss == pytest.approx(
        -np.mean(evaluator.loglikelihood([(item, str(item.key)) for item in items])), rel=1e-5
    )
    assert evaluator.loss(dict(state), prepared, lambda name, _: None, room=0) == loss
    exact, probability = evaluator.score(prepared)  # it still scores
    assert np.isfinite(probability).all()
    assert len(exact) == 5
