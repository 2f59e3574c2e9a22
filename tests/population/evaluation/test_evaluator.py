"""The evaluator: teacher forcing is greedy decoding, and company changes nobody's score."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.judges.preference import Preference
from arena.tasks.generators import GENERATORS, sample_items
from lineage.records import Item
from population.config import shipped_data
from population.errors import CheckpointError, PopulationError
from population.evaluation.devices import resolve_device, resolve_dtype
from population.evaluation.evaluator import Evaluator
from population.models.opening import open_checkpoint

FOUNDERS = shipped_data() / "founders"
SPECIALISTS = sorted(path.name for path in FOUNDERS.iterdir() if path.is_dir())


def panel(each: int, seed: int = 3) -> list[Item]:
    return [
        Item(f"{name}/search/{n}", name, "search", prompt, key)
        for name in sorted(GENERATORS)
        for n, (prompt, key) in enumerate(sample_items(name, "search", seed, each))
    ]


def evaluator_of(dtype: str = "float32", **settings: int) -> Evaluator:
    return Evaluator(
        FOUNDERS / "base", stored=torch.bfloat16, device="cpu", dtype=dtype, **settings
    )


def weights(name: str, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """A founder, or a point on the way from the base to it and beyond."""
    base, founder = open_checkpoint(FOUNDERS / "base"), open_checkpoint(FOUNDERS / name)
    return {
        key: torch.lerp(base.tensor(key).float(), founder.tensor(key).float(), scale)
        for key in base.tensors
    }


@pytest.mark.parametrize("name", SPECIALISTS)
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_one_forward_pass_says_what_greedy_decoding_gives(name: str, scale: float) -> None:
    """Token by token, with nothing shared between the two but the weights."""
    items = panel(each=10)
    evaluator = evaluator_of()
    evaluator.load_weights(weights(name, scale))
    exact, _ = evaluator.score(evaluator.prepare_keys(items))
    decoded = [
        float(text == item.key) for text, item in zip(evaluator.generate(items), items, strict=True)
    ]
    assert decoded == exact.tolist()


def test_decoding_is_what_transformers_decodes_alone() -> None:
    items = panel(each=3)
    evaluator = evaluator_of()
    name = SPECIALISTS[-1]
    evaluator.load_weights({k: t.float() for k, t in weights(name).items()})
    tokenizer = AutoTokenizer.from_pretrained(FOUNDERS / name)
    model = AutoModelForCausalLM.from_pretrained(FOUNDERS / name, dtype=torch.float32)
    for item, text in zip(items, evaluator.generate(items), strict=True):
        tokens = tokenizer(item.prompt, return_tensors="pt")
        out = model.generate(**tokens, max_new_tokens=24, do_sample=False)
        alone = tokenizer.decode(out[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
        assert text == alone[: len(text)]
        longest = max(len(item.key) for item in items)
        assert text == alone or len(text) > longest  # cut, because it did not end


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_computes_what_transformers_computes_to_the_bit(dtype: torch.dtype) -> None:
    name = SPECIALISTS[-1]
    founder = open_checkpoint(FOUNDERS / name)
    evaluator = evaluator_of(dtype=str(dtype).removeprefix("torch."))
    evaluator.load_weights({key: founder.tensor(key) for key in founder.tensors})
    model = AutoModelForCausalLM.from_pretrained(FOUNDERS / name, dtype=dtype)
    tokens = torch.arange(40).reshape(2, 20) + 2
    with torch.inference_mode():
        assert torch.equal(evaluator._model(tokens).logits, model(tokens).logits)


def test_the_probability_of_the_key_is_the_product_over_its_tokens() -> None:
    item = panel(each=1)[0]
    evaluator = evaluator_of()
    evaluator.load_weights(weights(item.task if item.task in SPECIALISTS else SPECIALISTS[-1]))
    _, probability = evaluator.score(evaluator.prepare_keys([item]))
    tokenizer = AutoTokenizer.from_pretrained(FOUNDERS / "base")
    prompt = tokenizer.encode(item.prompt)
    key = [*tokenizer.encode(item.key, add_special_tokens=False), tokenizer.eos_token_id]
    logits = evaluator._model(torch.tensor([prompt + key])).logits[0].log_softmax(-1)
    expected = sum(float(logits[len(prompt) - 1 + place, token]) for place, token in enumerate(key))
    assert np.log(probability[0]) == pytest.approx(expected, abs=1e-4)
    assert evaluator.loglikelihood([(item, item.key)])[0] == pytest.approx(expected, abs=1e-4)


def test_batches_and_company_do_not_change_a_score() -> None:
    items = panel(each=4)
    wide, narrow = evaluator_of(), evaluator_of(batch_tokens=40)
    for evaluator in (wide, narrow):
        evaluator.load_weights(weights(SPECIALISTS[1]))
    together = wide.score(wide.prepare_keys(items))
    backwards = wide.score(wide.prepare_keys(items[::-1]))
    apart = narrow.score(narrow.prepare_keys(items))
    for got in (np.array(backwards)[:, ::-1], np.array(apart)):
        np.testing.assert_allclose(got, np.array(together), atol=1e-5)
    prepared = wide.prepare_keys(items)
    again = wide.score(prepared)
    assert [a.tolist() for a in again] == [a.tolist() for a in together]
    # Tokens are counted without padding.
    read = [len(q.prompt.ids) + len(q.answer_ids) - 1 for q in prepared.questions]
    prompts = sum(len(q.prompt.ids) for q in prepared.questions[:9])
    for evaluator in (wide, narrow):
        before = evaluator.meter.tokens
        evaluator.read(evaluator.prepare_keys(items))
        assert evaluator.meter.tokens - before == sum(read)
        said = [answer.text for answer in evaluator.answer_freely(items[:9], beyond=1)]
        ended = [len(evaluator.tokenizer.tokenizer.encode(text)) + 1 for text in said]
        assert prompts < evaluator.meter.tokens - before - sum(read) <= prompts + sum(ended)


def test_every_item_counts_against_the_budget_whoever_asks() -> None:
    items = panel(each=2)
    evaluator = evaluator_of()
    evaluator.load_weights(weights("base"))
    evaluator.score(evaluator.prepare_keys(items))
    evaluator.generate(items[:5])
    evaluator.loglikelihood([(item, "x") for item in items[:3]])
    assert evaluator.meter.evaluations == len(items) + 5 + 3
    assert evaluator.meter.forward_s > 0.0


def test_a_model_that_is_broken_scores_nothing() -> None:
    broken = weights("base")
    broken["model.norm.weight"] = torch.full_like(broken["model.norm.weight"], float("nan"))
    evaluator = evaluator_of()
    evaluator.load_weights(broken)
    exact, probability = evaluator.score(evaluator.prepare_keys(panel(each=1)))
    assert not exact.any()
    assert not probability.any()


def test_weights_of_another_architecture_are_refused(
    make_checkpoint: Callable[..., Path],
) -> None:
    evaluator = evaluator_of()
    state = weights("base")
    state["model.layers.9.mlp.up_proj.weight"] = torch.zeros(2, 2)
    with pytest.raises(CheckpointError, match=r"unknown tensor model\.layers\.9"):
        evaluator.load_weights(state)
    state = weights("base")
    del state["model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"lacks model\.norm\.weight"):
        evaluator.load_weights(state)


def test_control_tokens_in_an_answer_stay_text() -> None:
    evaluator = evaluator_of()
    item = panel(each=1)[0]
    tokenizer = evaluator.tokenizer
    end, number = tokenizer.tokenizer.eos_token, tokenizer.tokenizer.eos_token_id
    assert tokenizer.encode_answer(item, f"a{end}b").count(number) == 1
    # So does one that is put into a question: which of two answers is better?
    for question, _ in Preference().questions(item, f"a{end}b", "c"):
        assert number not in tokenizer.encode_prompt(question).ids
        assert number in tokenizer.encode_prompt(replace(question, plain=False)).ids


def test_what_does_not_fit_into_the_context_cannot_be_said() -> None:
    evaluator = evaluator_of()
    item = panel(each=1)[0]
    evaluator.load_weights(weights("base"))
    likely, impossible = evaluator.loglikelihood([(item, item.key or ""), (item, "a" * 5000)])
    assert likely > impossible == -np.inf


def test_an_item_that_does_not_fit_is_named() -> None:
    item = replace(panel(each=1)[0], prompt="a" * 5000)
    with pytest.raises(PopulationError, match=f"item {item.id} takes .* tokens"):
        evaluator_of().prepare_keys([item])


def test_devices_and_dtypes() -> None:
    cpu = torch.device("cpu")
    assert resolve_device("cpu") == cpu
    with pytest.raises(PopulationError, match="device 'warp:9' cannot be used"):
        resolve_device("warp:9")
    assert resolve_dtype("float32", torch.bfloat16, cpu) == torch.float32
    assert resolve_dtype("auto", torch.float32, cpu) == torch.float32
    assert resolve_dtype("auto", torch.bfloat16, torch.device("cuda")) == torch.bfloat16
