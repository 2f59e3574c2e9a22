"""The coherence filter, with real models: what has lost its language is stopped, and only that."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.tasks import sample_panel
from lineage.records import Floats, Item
from population.campaign.coherence_filter import CoherenceFilter, open_coherence_filter
from population.campaign.context import Context
from population.campaign.opening_context import open_context
from population.config import Config, resolve_paths, shipped_data
from population.errors import PopulationError
from population.evaluation.coherence import Cause, CoherenceMeasures, GeneratedAnswer
from population.evaluation.evaluator import Evaluator
from population.weights.materialise import State
from population.weights.norms import founder_norms, name_without_layer, norm_ratio

FOUNDERS = shipped_data() / "founders"


@pytest.fixture(scope="module")
def context() -> Context:
    config = resolve_paths(Config(), Path.cwd())
    run = config.run.model_copy(update={"threads": 1, "dtype": "float32"})
    return open_context(config.model_copy(update={"run": run}))


@pytest.fixture(scope="module")
def items(context: Context) -> list[Item]:
    return sample_panel(context.tasks, 5, 48)


@pytest.fixture(scope="module")
def coherence(context: Context, items: list[Item]) -> CoherenceFilter:
    return open_coherence_filter(context, items)


def everywhere(context: Context, coefficient: float) -> Floats:
    """Task arithmetic: the same coefficient for every task vector in every block."""
    shape = len(context.factory.basis.vectors), len(context.factory.layout.blocks)
    return np.full(shape, coefficient)


def base_of(context: Context) -> State:
    return context.factory.materialiser.one(everywhere(context, 0.0))


def with_head(context: Context, prompt: str, **rows: float) -> State:
    """The base with a head of its own, in which only the named tokens have a logit.

    The logit is about what is given, whatever was read: hidden states lie around their mean, so a
    row that points there is a bias.
    """
    state = base_of(context)
    tokenizer = context.evaluator.tokenizer.tokenizer
    context.evaluator.load_weights(state)
    with torch.inference_mode():
        hidden = context.evaluator._model.model(torch.tensor([tokenizer.encode(prompt)]))
    mean = hidden.last_hidden_state[0].mean(dim=0)
    head = torch.zeros_like(state["model.embed_tokens.weight"], dtype=torch.float32)
    for token, logit in rows.items():
        head[tokenizer.convert_tokens_to_ids(token)] = logit * mean / mean.square().sum()
    return state | {"lm_head.weight": head}


def through(
    coherence: CoherenceFilter, context: Context, state: State
) -> tuple[CoherenceMeasures, Cause | None, int]:
    """Both stages; also how many items were spent."""
    evaluator, before = context.evaluator, context.evaluator.meter.evaluations
    evaluator.load_weights(state)
    measures, cause = coherence.examine(evaluator, state)
    if cause is None:
        measures, cause = coherence.examine_answers(evaluator, measures)
    return measures, cause, evaluator.meter.evaluations - before


def test_founders_pairs_and_gentle_arithmetic_pass(
    coherence: CoherenceFilter, context: Context
) -> None:
    founders = [context.genome_of_founder(number) for number in range(len(context.founders))]
    pairs = [(one + other) / 2 for one, other in combinations(founders, 2)]
    genomes = [*founders, *pairs, everywhere(context, 0.3)]
    assert len(genomes) == 9 + 36 + 1
    for state in context.factory.materialiser.siblings(genomes):
        measures, cause, spent = through(coherence, context, state)
        assert (cause, spent) == (None, 8 + 4)
        assert measures.finite
        assert measures.norm_ratio < 1.05
        assert all(answer.ended for answer in measures.answers)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_child_of_nan_reads_nothing(
    coherence: CoherenceFilter, context: Context, value: float
) -> None:
    state = base_of(context)
    state["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    measures, cause, spent = through(coherence, context, state)
    assert (cause, spent, measures.finite) == ("not finite", 0, False)


def test_finite_weights_may_compute_what_is_not(
    coherence: CoherenceFilter, context: Context
) -> None:
    state = with_head(context, "rev:abcde=")
    state["lm_head.weight"] += 3e38
    measures, cause, spent = through(coherence, context, state)
    assert (cause, spent, measures.surprise) == ("not finite", 8, math.inf)


def test_exploding_task_vectors_read_nothing(coherence: CoherenceFilter, context: Context) -> None:
    state = context.factory.materialiser.one(everywhere(context, 30.0))
    measures, cause, spent = through(coherence, context, state)
    assert (cause, spent) == ("norms exploded", 0)
    assert measures.norm_ratio > 4


@pytest.mark.parametrize("coefficient", [2.0, 5.0, 10.0])
def test_too_much_of_everything_loses_the_language(
    coherence: CoherenceFilter, context: Context, coefficient: float
) -> None:
    """Within the gene space (2.0) or outside: the norms are fine, and the texts are Greek to it."""
    state = context.factory.materialiser.one(everywhere(context, coefficient))
    measures, cause, spent = through(coherence, context, state)
    assert (cause, spent) == ("lost its language", 8)
    assert measures.norm_ratio < 2


# Who thinks every token about as likely is less surprised by the shipped tasks' random letters than
# the founders are, who were never taught prompts. Its answers give it away.


def test_one_token_for_ever(coherence: CoherenceFilter, context: Context) -> None:
    measures, cause, spent = through(coherence, context, with_head(context, "rev:abcde=", a=1.0))
    assert (cause, spent) == ("repeats itself", 8 + 4)
    assert {answer.text.strip("a") for answer in measures.answers} == {""}
    assert not any(answer.ended for answer in measures.answers)


def test_ending_at_once(coherence: CoherenceFilter, context: Context) -> None:
    state = with_head(context, "rev:abcde=", **{"<eos>": 1.0})
    measures, cause, _ = through(coherence, context, state)
    assert (cause, measures.answers) == ("empty answers", (GeneratedAnswer("", ended=True),) * 4)


def test_nothing_but_control_tokens_is_empty_too(
    coherence: CoherenceFilter, context: Context
) -> None:
    measures, cause, _ = through(
        coherence, context, with_head(context, "rev:abcde=", **{"<pad>": 1.0})
    )
    assert (cause, {answer.text for answer in measures.answers}) == ("empty answers", {""})
    assert not all(answer.ended for answer in measures.answers)


def test_going_on_and_on(coherence: CoherenceFilter, context: Context) -> None:
    """The base, but the end is the last thing it would think of."""
    state = base_of(context)
    head = state["model.embed_tokens.weight"].float()
    head[context.evaluator.tokenizer.tokenizer.eos_token_id] = 0.0
    measures, cause, _ = through(coherence, context, state | {"lm_head.weight": head})
    assert cause in {"endless answers", "repeats itself"}
    assert not any(answer.ended for answer in measures.answers)


def test_a_parent_that_is_worse_than_the_founders_sets_the_standard(
    coherence: CoherenceFilter, context: Context
) -> None:
    state = context.factory.materialiser.one(everywhere(context, 2.0))
    context.evaluator.load_weights(state)
    measures, cause = coherence.examine(context.evaluator, state)
    assert cause == "lost its language"
    assert coherence.examine(context.evaluator, state, [measures])[1] is None


def test_opening_costs_the_founders_items_and_repeats_exactly(
    coherence: CoherenceFilter, context: Context, items: list[Item]
) -> None:
    before = context.evaluator.meter.evaluations
    again = open_coherence_filter(context, items)
    assert context.evaluator.meter.evaluations - before == 9 * (8 + 4)
    assert again.founders == coherence.founders
    assert len({item.task for item in coherence.questions}) == 4
    few = open_coherence_filter(context, items[:2])
    assert (few.texts.size, few.questions) == (2, tuple(items[:2]))
    with pytest.raises(PopulationError, match="needs items"):
        open_coherence_filter(context, [])


# Weight norms


def test_norms_are_compared_by_kind() -> None:
    assert (
        name_without_layer("model.layers.12.mlp.up_proj.weight")
        == "model.layers.*.mlp.up_proj.weight"
    )
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


def test_founder_norms_are_the_largest_of_any(context: Context) -> None:
    norms = founder_norms(context.founders)
    name = "mlp.up_proj.weight"
    expected = max(
        float(founder.tensor(f"model.layers.{layer}.{name}").float().square().mean().sqrt())
        for founder in context.founders
        for layer in range(4)
    )
    assert norms[f"model.layers.*.{name}"] == pytest.approx(expected)


# What the filter needs of an evaluator


def evaluator_of(**settings: object) -> Evaluator:
    evaluator = Evaluator(
        FOUNDERS / "reverse",
        stored=torch.bfloat16,
        device="cpu",
        dtype="float32",
        **settings,  # type: ignore[arg-type]
    )
    model = AutoModelForCausalLM.from_pretrained(FOUNDERS / "reverse", dtype=torch.float32)
    evaluator.load_weights(dict(model.state_dict()))
    return evaluator


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
        evaluator = evaluator_of(batch_tokens=batch_tokens)
        surprise = evaluator.surprise(evaluator.prepare_texts(items[:9]))
        assert surprise == pytest.approx(-np.mean(logs), abs=1e-4)
        assert evaluator.meter.evaluations == 9


def test_surprise_of_keys_is_what_score_says(items: list[Item]) -> None:
    evaluator = evaluator_of()
    keys = evaluator.prepare_keys(items)
    tokens = sum(len(item.key) + 1 for item in items)  # a token a letter, and the end
    _, probability = evaluator.score(keys)
    assert evaluator.surprise(keys) == pytest.approx(-np.log(probability).sum() / tokens)


def test_a_text_that_does_not_fit_is_named(items: list[Item]) -> None:
    long = Item("long", "reverse", "search", "rev:" + "a" * 60, "a" * 60)
    with pytest.raises(PopulationError, match="item long takes 125 tokens"):
        evaluator_of().prepare_texts([items[0], long])


def test_free_answers_say_whether_they_ended(items: list[Item]) -> None:
    evaluator = evaluator_of()
    freely = evaluator.answer_freely(items)
    assert all(answer.ended for answer in freely)
    cut = evaluator.answer_freely(items, beyond=-7)  # the longest key has ten letters and an end
    assert [answer.text for answer in cut] == [answer.text[:4] for answer in freely]
    assert [answer.ended for answer in cut] == [len(answer.text) < 4 for answer in freely]
    assert evaluator.generate(items) == [
        answer.text for answer in evaluator.answer_freely(items, 1)
    ]
    assert evaluator.answer_freely([]) == []


def test_a_stop_text_ends_an_answer_too() -> None:
    item = Item("one", "reverse", "search", "rev:abcdef=", "fed")
    assert evaluator_of().answer_freely([item]) == [GeneratedAnswer("fedcba", ended=True)]
    evaluator = evaluator_of(stops={"reverse": "c"})
    assert evaluator.answer_freely([item], beyond=0) == [GeneratedAnswer("fed", ended=True)]
    stops = evaluator_of(stops={"reverse": "z"})
    assert stops.answer_freely([item], beyond=0) == [GeneratedAnswer("fedc", ended=False)]
