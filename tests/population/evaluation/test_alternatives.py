"""Several answers to one item: choices, keys of which any is right, and stop texts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from arena.tasks import Questions
from arena.tasks.sampling import Sampling
from lineage.records import Item, stored_item
from population.evaluation.evaluator import Evaluator
from tests.speakers import speaker

PROMPTS = ["the cat is", "one two", "a mat was", "the red cat sat on"]
CHOICES = (" red", " three four", " paris", " the mat")


class Task(Questions):
    """Questions with choices."""

    name, kind, description, stop = "t", "skill", "", (".", "!")

    def __init__(self, score: str = "likelihood") -> None:
        self.score = score

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("random")
    speaker(made, "bytes", 5)
    return made


def evaluator_of(folder: Path, task: Task) -> Evaluator:
    made = Evaluator(
        folder, stored=torch.float32, device="cpu", tasks={"t": task}, stops={"t": task.stop}
    )
    made.load_weights(dict(AutoModelForCausalLM.from_pretrained(folder).state_dict()))
    return made


def item_of(number: int, prompt: str, right: int | None) -> Item:
    key = None if right is None else CHOICES[right]
    return Item(f"t/search/{number}", "t", "search", prompt, key, choices=CHOICES)


def by_transformers(folder: Path, prompt: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The log-likelihood of each choice behind a prompt, without an end."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = evaluator_of(folder, Task()).tokenizer.tokenizer
    values = []
    for choice in CHOICES:
        before, both = (tokenizer.encode(text) for text in (prompt, prompt + choice))
        with torch.inference_mode():
            logs = model(torch.tensor([both])).logits[0].log_softmax(-1)
        values.append(sum(float(logs[n - 1, both[n]]) for n in range(len(before), len(both))))
    return np.array(values)


@pytest.mark.parametrize("score", ["likelihood", "normalised"])
def test_the_choice_that_is_likeliest_behind_the_prompt_is_picked(folder: Path, score: str) -> None:
    evaluator = evaluator_of(folder, Task(score))
    logs = np.stack([by_transformers(folder, prompt) for prompt in PROMPTS])
    lengths = np.array([len(choice) - 1 for choice in CHOICES])
    scores = logs if score == "likelihood" else logs / lengths * lengths.mean()
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    items = [item_of(n, prompt, n) for n, prompt in enumerate(PROMPTS)]
    prepared = evaluator.prepare_keys(items)
    exact, probability = evaluator.score(prepared)
    assert exact.tolist() == [float(row.argmax() == n) for n, row in enumerate(scores)]
    assert probability == pytest.approx(np.diag(softmax), rel=1e-4)
    assert evaluator.meter.evaluations == prepared.items == len(items)
    picks = [CHOICES[row.argmax()] for row in scores]
    assert evaluator.generate(items) == picks
    task = Task()
    for item, pick in zip(items, picks, strict=True):
        assert task.verify(item, task.extract(item, pick)) == float(pick == item.key)
    # What a jury picked stands for a key; several of its answers to one item are read once.
    pairs = [(replace(item, key=None), choice) for item in items for choice in CHOICES[:2]]
    judged = evaluator.prepare(pairs)
    assert judged.size == len(items) * len(CHOICES)
    assert evaluator.score(judged)[0].tolist() == [float(p == c) for p in picks
                                                   for c in CHOICES[:2]]  # fmt: skip


def test_the_loss_is_that_of_the_right_choice(folder: Path) -> None:
    evaluator = evaluator_of(folder, Task())
    state = dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())
    items = [item_of(n, prompt, n) for n, prompt in enumerate(PROMPTS)]
    loss = evaluator.loss(state, evaluator.prepare_targets(items), lambda name, gradient: None)
    right = [by_transformers(folder, prompt)[n] for n, prompt in enumerate(PROMPTS)]
    assert loss == pytest.approx(-np.mean(right), rel=1e-4)


def test_any_key_is_right_and_any_stop_text_ends_an_answer(tmp_path: Path) -> None:
    taught = {"the cat is": " red", "one two": " three", "a mat was": " paris"}
    ends = (".", "!", ".")
    speaker(
        tmp_path, "bytes", 1, [f"{p}{k}{e}" for (p, k), e in zip(taught.items(), ends, strict=True)]
    )
    evaluator = evaluator_of(tmp_path, Task())

    def score(*keys: str) -> tuple[list[float], list[float]]:
        items = [
            Item(f"t/search/{n}", "t", "search", prompt, keys[0], keys=keys[1:])
            for n, prompt in enumerate(taught)
        ]
        prepared = evaluator.prepare_keys(items)
        assert prepared.items == len(items)
        exact, probability = evaluator.score(prepared)
        return exact.tolist(), probability.tolist()

    assert score(" mat", "red", " three")[0] == [1.0, 1.0, 0.0]
    assert score(" mat")[0] == [0.0, 0.0, 0.0]
    one, other, both = (score(*keys)[1] for keys in ((" paris",), (" mat",), (" paris", " mat")))
    assert both == pytest.approx([min(1.0, a + b) for a, b in zip(one, other, strict=True)])


def test_an_archive_gives_choices_back() -> None:
    item = item_of(1, "one", 2)
    texts = (item.id, item.task, item.split, item.prompt, item.key, item.statement)
    assert stored_item(*texts, item.details) == item


def test_samples_are_drawn_from_the_model_and_counted_as_often(folder: Path) -> None:
    class Vowels(Task):
        longest = 1
        sampling = Sampling(400, 2, temperature=0.7)

        def verify(self, item: Item, answer: str) -> float:
            return float(bool(set(answer) & set("aeiou")))

    task = Vowels()
    evaluator = evaluator_of(folder, task)
    items = [Item(f"t/search/{n}", "t", "search", prompt, None) for n, prompt in enumerate(PROMPTS)]
    prepared = evaluator.prepare_keys(items)
    exact, _ = evaluator.score(prepared)
    assert evaluator.meter.evaluations == 400 * len(items)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = evaluator.tokenizer
    for item, pass_at_2 in zip(items, exact, strict=True):
        prompt = tokenizer.encode_prompt(item)
        with torch.inference_mode():
            logits = model(torch.tensor([list(prompt.ids)])).logits[0, -1].double()
        chances = torch.softmax(logits / 0.7, dim=0).tolist()
        said = [tokenizer.decode_answer(item, [token], prompt)[0] for token in range(len(chances))]
        right = sum(p for p, text in zip(chances, said, strict=True) if task.verify(item, text))
        # Four standard errors of what 400 draws say of the chance that both of two fail.
        noise = 4 * 2 * (1 - right) * np.sqrt(right * (1 - right) / 400)
        assert pass_at_2 == pytest.approx(1 - (1 - right) ** 2, abs=noise)
    # What is drawn does not depend on what else is asked, nor on when.
    alone = [evaluator.score(evaluator.prepare_keys([item]))[0][0] for item in reversed(items)]
    assert alone[::-1] == exact.tolist()
