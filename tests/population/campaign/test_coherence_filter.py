"""The gate, with real models: who has lost its language is stopped, and nobody else is."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.tasks import deal_panel
from lineage.records import Floats, Item
from population.campaign.coherence_filter import CoherenceFilter, open_gate
from population.campaign.context import Context, open_context
from population.config import Config, resolved, shipped_data
from population.errors import PopulationError
from population.evaluation.coherence import Cause, GeneratedAnswer, Health
from population.evaluation.evaluator import Evaluator
from population.weights.materialise import State
from population.weights.norms import founder_norms, kind_of, norm_ratio

FOUNDERS = shipped_data() / "founders"


@pytest.fixture(scope="module")
def workshop() -> Context:
    config = resolved(Config(), Path.cwd())
    run = config.run.model_copy(update={"threads": 1, "dtype": "float32"})
    return open_context(config.model_copy(update={"run": run}))


@pytest.fixture(scope="module")
def items(workshop: Context) -> list[Item]:
    return deal_panel(workshop.tasks, 5, 48)


@pytest.fixture(scope="module")
def gate(workshop: Context, items: list[Item]) -> CoherenceFilter:
    return open_gate(workshop, items)


def everywhere(workshop: Context, coefficient: float) -> Floats:
    """Task arithmetic: the same coefficient for every task vector in every block."""
    shape = len(workshop.basis.vectors), len(workshop.layout.blocks)
    return np.full(shape, coefficient)


def base_of(workshop: Context) -> State:
    return workshop.materialiser.one(everywhere(workshop, 0.0))


def with_head(workshop: Context, prompt: str, **rows: float) -> State:
    """The base with a head of its own, in which only the named tokens have a logit.

    The logit is about what is given, whatever was read: hidden states lie around their mean, so a
    row that points there is a bias.
    """
    state = base_of(workshop)
    tokenizer = workshop.player._speech.tokenizer
    workshop.player.take(state)
    with torch.inference_mode():
        hidden = workshop.player._model.model(torch.tensor([tokenizer.encode(prompt)]))
    mean = hidden.last_hidden_state[0].mean(dim=0)
    head = torch.zeros_like(state["model.embed_tokens.weight"], dtype=torch.float32)
    for token, logit in rows.items():
        head[tokenizer.convert_tokens_to_ids(token)] = logit * mean / mean.square().sum()
    return state | {"lm_head.weight": head}


def through(
    gate: CoherenceFilter, workshop: Context, state: State
) -> tuple[Health, Cause | None, int]:
    """Both stages; also how many items were spent."""
    player, before = workshop.player, workshop.player.meter.evaluations
    player.take(state)
    health, cause = gate.examine(player, state)
    if cause is None:
        health, cause = gate.examine_answers(player, health)
    return health, cause, player.meter.evaluations - before


def test_founders_pairs_and_gentle_arithmetic_pass(
    gate: CoherenceFilter, workshop: Context
) -> None:
    founders = [workshop.genome_of_founder(number) for number in range(len(workshop.founders))]
    pairs = [(one + other) / 2 for one, other in combinations(founders, 2)]
    genomes = [*founders, *pairs, everywhere(workshop, 0.3)]
    assert len(genomes) == 9 + 36 + 1
    for state in workshop.materialiser.siblings(genomes):
        health, cause, spent = through(gate, workshop, state)
        assert (cause, spent) == (None, 8 + 4)
        assert health.finite
        assert health.norm_ratio < 1.05
        assert all(answer.ended for answer in health.answers)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_child_of_nan_reads_nothing(
    gate: CoherenceFilter, workshop: Context, value: float
) -> None:
    state = base_of(workshop)
    state["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    health, cause, spent = through(gate, workshop, state)
    assert (cause, spent, health.finite) == ("not finite", 0, False)


def test_finite_weights_may_compute_what_is_not(gate: CoherenceFilter, workshop: Context) -> None:
    state = with_head(workshop, "rev:abcde=")
    state["lm_head.weight"] += 3e38
    health, cause, spent = through(gate, workshop, state)
    assert (cause, spent, health.surprise) == ("not finite", 8, math.inf)


def test_exploding_task_vectors_read_nothing(gate: CoherenceFilter, workshop: Context) -> None:
    state = workshop.materialiser.one(everywhere(workshop, 30.0))
    health, cause, spent = through(gate, workshop, state)
    assert (cause, spent) == ("norms exploded", 0)
    assert health.norm_ratio > 4


@pytest.mark.parametrize("coefficient", [2.0, 5.0, 10.0])
def test_too_much_of_everything_loses_the_language(
    gate: CoherenceFilter, workshop: Context, coefficient: float
) -> None:
    """Within the gene space (2.0) or outside: the norms are fine, and the texts are Greek to it."""
    state = workshop.materialiser.one(everywhere(workshop, coefficient))
    health, cause, spent = through(gate, workshop, state)
    assert (cause, spent) == ("lost its language", 8)
    assert health.norm_ratio < 2


# Who thinks every token about as likely is less surprised by the shipped tasks' random letters than
# the founders are, who were never taught prompts. Its answers give it away.


def test_one_token_for_ever(gate: CoherenceFilter, workshop: Context) -> None:
    health, cause, spent = through(gate, workshop, with_head(workshop, "rev:abcde=", a=1.0))
    assert (cause, spent) == ("repeats itself", 8 + 4)
    assert {answer.text.strip("a") for answer in health.answers} == {""}
    assert not any(answer.ended for answer in health.answers)


def test_ending_at_once(gate: CoherenceFilter, workshop: Context) -> None:
    state = with_head(workshop, "rev:abcde=", **{"<eos>": 1.0})
    health, cause, _ = through(gate, workshop, state)
    assert (cause, health.answers) == ("empty answers", (GeneratedAnswer("", ended=True),) * 4)


def test_nothing_but_control_tokens_is_empty_too(gate: CoherenceFilter, workshop: Context) -> None:
    health, cause, _ = through(gate, workshop, with_head(workshop, "rev:abcde=", **{"<pad>": 1.0}))
    assert (cause, {answer.text for answer in health.answers}) == ("empty answers", {""})
    assert not all(answer.ended for answer in health.answers)


def test_going_on_and_on(gate: CoherenceFilter, workshop: Context) -> None:
    """The base, but the end is the last thing it would think of."""
    state = base_of(workshop)
    head = state["model.embed_tokens.weight"].float()
    head[workshop.player._speech.tokenizer.eos_token_id] = 0.0
    health, cause, _ = through(gate, workshop, state | {"lm_head.weight": head})
    assert cause in {"endless answers", "repeats itself"}
    assert not any(answer.ended for answer in health.answers)


def test_a_parent_that_is_worse_than_the_founders_sets_the_standard(
    gate: CoherenceFilter, workshop: Context
) -> None:
    state = workshop.materialiser.one(everywhere(workshop, 2.0))
    workshop.player.take(state)
    health, cause = gate.examine(workshop.player, state)
    assert cause == "lost its language"
    assert gate.examine(workshop.player, state, [health])[1] is None


def test_opening_costs_the_founders_items_and_repeats_exactly(
    gate: CoherenceFilter, workshop: Context, items: list[Item]
) -> None:
    before = workshop.player.meter.evaluations
    again = open_gate(workshop, items)
    assert workshop.player.meter.evaluations - before == 9 * (8 + 4)
    assert again.founders == gate.founders
    assert len({item.task for item in gate.questions}) == 4
    few = open_gate(workshop, items[:2])
    assert (few.texts.size, few.questions) == (2, tuple(items[:2]))
    with pytest.raises(PopulationError, match="needs items"):
        open_gate(workshop, [])


# Vital signs


def test_norms_are_compared_by_kind() -> None:
    assert kind_of("model.layers.12.mlp.up_proj.weight") == "model.layers.*.mlp.up_proj.weight"
    norms = {"layers.*.up": 2.0, "layers.*.bias": 0.0}
    up = torch.tensor([3.0, -4.0, 5.0])  # root mean square sqrt(50 / 3)
    ratio = math.sqrt(50 / 3) / 2
    state = {"layers.0.up": torch.ones(3), "layers.31.up": up, "layers.0.bias": torch.zeros(2)}
    assert norm_ratio(state, norms) == pytest.approx(ratio)
    assert norm_ratio({"layers.7.bias": torch.tensor([0.0, 1e-9])}, norms) == math.inf
    assert norm_ratio({"head": up, "positions": torch.arange(3), "none": up[:0]}, norms) == 0.0
    assert norm_ratio({"layers.0.up": up.double()}, norms) == pytest.approx(ratio)
    assert norm_ratio({"layers.0.up": torch.tensor(-5.0)}, norms) == 2.5
    many = torch.full((1 << 13, 1 << 13), 0.02, dtype=torch.bfloat16)  # one sum in fp32 ends early
    assert norm_ratio({"layers.0.up": many}, norms) == pytest.approx(0.01, rel=1e-3)
    huge = torch.tensor([3e38, 3e38])  # squares overflow, and yet it is finite
    assert norm_ratio({"layers.0.up": huge}, norms) == math.inf
    assert math.isnan(norm_ratio({"layers.0.up": torch.tensor([math.inf, 1.0])}, norms))


def test_founder_norms_are_the_largest_of_any(workshop: Context) -> None:
    norms = founder_norms(workshop.founders)
    name = "mlp.up_proj.weight"
    expected = max(
        float(founder.tensor(f"model.layers.{layer}.{name}").float().square().mean().sqrt())
        for founder in workshop.founders
        for layer in range(4)
    )
    assert norms[f"model.layers.*.{name}"] == pytest.approx(expected)


# What the gate asks of a player


def player_of(**settings: object) -> Evaluator:
    player = Evaluator(
        FOUNDERS / "reverse",
        stored=torch.bfloat16,
        device="cpu",
        dtype="float32",
        **settings,  # type: ignore[arg-type]
    )
    model = AutoModelForCausalLM.from_pretrained(FOUNDERS / "reverse", dtype=torch.float32)
    player.take(dict(model.state_dict()))
    return player


def test_surprise_is_the_mean_over_all_tokens_but_the_first(items: list[Item]) -> None:
    model = AutoModelForCausalLM.from_pretrained(FOUNDERS / "reverse", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(FOUNDERS / "reverse")
    logs = []
    for item in items[:9]:
        text = torch.tensor([*tokenizer.encode(item.prompt + item.key), tokenizer.eos_token_id])
        with torch.inference_mode():
            seen = model(text[None]).logits[0, :-1].log_softmax(-1)
        logs += seen.gather(-1, text[1:, None])[:, 0].tolist()
    for batch_tokens in (None, 40):
        player = player_of(batch_tokens=batch_tokens)
        surprise = player.surprise(player.prepare_texts(items[:9]))
        assert surprise == pytest.approx(-np.mean(logs), abs=1e-4)
        assert player.meter.evaluations == 9


def test_surprise_of_keys_is_what_score_says(items: list[Item]) -> None:
    player = player_of()
    keys = player.prepare_keys(items)
    tokens = sum(len(item.key) + 1 for item in items)  # a token a letter, and the end
    _, probability = player.score(keys)
    assert player.surprise(keys) == pytest.approx(-np.log(probability).sum() / tokens)


def test_a_text_that_does_not_fit_is_named(items: list[Item]) -> None:
    long = Item("long", "reverse", "search", "rev:" + "a" * 60, "a" * 60)
    with pytest.raises(PopulationError, match="item long takes 125 tokens"):
        player_of().prepare_texts([items[0], long])


def test_free_answers_say_whether_they_ended(items: list[Item]) -> None:
    player = player_of()
    freely = player.answer_freely(items)
    assert all(answer.ended for answer in freely)
    cut = player.answer_freely(items, beyond=-7)  # the longest key has ten letters and an end
    assert [answer.text for answer in cut] == [answer.text[:4] for answer in freely]
    assert [answer.ended for answer in cut] == [len(answer.text) < 4 for answer in freely]
    assert player.generate(items) == [answer.text for answer in player.answer_freely(items, 1)]
    assert player.answer_freely([]) == []


def test_a_stop_text_ends_an_answer_too() -> None:
    item = Item("one", "reverse", "search", "rev:abcdef=", "fed")
    assert player_of().answer_freely([item]) == [GeneratedAnswer("fedcba", ended=True)]
    player = player_of(stops={"reverse": "c"})
    assert player.answer_freely([item], beyond=0) == [GeneratedAnswer("fed", ended=True)]
    stops = player_of(stops={"reverse": "z"})
    assert stops.answer_freely([item], beyond=0) == [GeneratedAnswer("fedc", ended=False)]
