"""Tokens in their place: whatever the tokenizer, an answer is what stands behind its prompt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from arena.tasks import Questions
from arena.tasks.answers import canonical
from arena.tasks.correctness import can_become
from lineage.records import Item
from population.evaluation.evaluator import Evaluator
from population.evaluation.prompt_tokenizer import PromptTokenizer
from tests.speakers import TOKENIZERS, WORDS, speaker, tokenizer_of

KINDS = sorted(TOKENIZERS)
SPACED = [kind for kind in KINDS if kind != "letters"]


def item_of(prompt: str, key: str | None, number: int = 0) -> Item:
    return Item(f"t/search/{number}", "t", "search", prompt, key)


def evaluator_of(folder: Path, **settings: object) -> Evaluator:
    evaluator = Evaluator(folder, stored=torch.float32, device="cpu", **settings)  # type: ignore[arg-type]
    evaluator.load_weights(dict(AutoModelForCausalLM.from_pretrained(folder).state_dict()))
    return evaluator


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PromptTokenizer]:
    made = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind.replace(" ", "-"))
        speaker(folder, kind)
        made[kind] = PromptTokenizer(folder)
    return made


PAIRS = [
    ("the cat is", " red"),
    ("the cat is", " red mat"),
    ("the cat is ", "red"),
    ("one two: ", "three"),
    ("1=", "2"),
    ("12=4", "2"),
    ("the ca", "t sat"),
    ("is it? ", "rome"),
    ("the cat is", "red"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("prompt", "key"), PAIRS)
def test_an_answer_is_what_it_adds_to_the_text_of_its_prompt(
    kind: str, prompt: str, key: str, tokenizers: dict[str, PromptTokenizer]
) -> None:
    tokenizer, item = tokenizers[kind], item_of(prompt, key)
    encoded = tokenizer.encode_prompt(item)
    ids = tokenizer.encode_answer(item, key, encoded)
    whole = tokenizer_of(kind).encode(prompt + key)
    whole = whole if whole[-1] == tokenizer.eos_id else [*whole, tokenizer.eos_id]
    assert ids[-1] == tokenizer.eos_id
    # Where the library's tokens of both begin with the prompt's, the rest is the answer.
    if whole[: len(encoded.ids)] == list(encoded.ids):
        assert [*encoded.ids, *ids] == whole
    assert tokenizer.decode_answer(item, ids, encoded) == (key, True)
    if kind != "words":  # which knows no spaces, so that its texts cannot be told apart by them
        assert tokenizer.decode_after(encoded, ids[:-1]) == key


@pytest.mark.parametrize("kind", SPACED)
def test_a_space_at_the_end_of_a_prompt_belongs_to_the_word_that_follows(
    kind: str, tokenizers: dict[str, PromptTokenizer]
) -> None:
    tokenizer = tokenizers[kind]
    glued = tokenizer.encode_prompt(item_of("the cat is ", "red"))
    bare = tokenizer.encode_prompt(item_of("the cat is", " red"))
    assert glued.ids == bare.ids
    assert tokenizer.encode_answer(item_of("the cat is ", "red"), "red") == tokenizer.encode_answer(
        item_of("the cat is", " red"), " red"
    )
    assert glued.trailing_space == ("" if kind == "words" else " ")


def test_a_space_that_is_a_token_stays_with_its_prompt(
    tokenizers: dict[str, PromptTokenizer],
) -> None:
    tokenizer = tokenizers["letters"]
    encoded = tokenizer.encode_prompt(item_of("is ", "red"))
    assert encoded.trailing_space == ""
    assert len(encoded.ids) == 3


# A unigram model has its control tokens among its pieces, and spells them so.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unigram"])
def test_control_tokens_of_a_prompt_are_such_and_those_of_an_answer_are_text(
    kind: str, tokenizers: dict[str, PromptTokenizer]
) -> None:
    tokenizer = tokenizers[kind]
    item = item_of("one</s>two</s>", None)
    encoded = tokenizer.encode_prompt(item)
    assert list(encoded.ids).count(tokenizer.eos_id) == 2
    ids = tokenizer.encode_answer(item, "a</s>", encoded)
    assert ids.count(tokenizer.eos_id) == 1
    assert tokenizer.encode_answer(item, "three", encoded)[-1] == tokenizer.eos_id


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_decoding_and_the_fast_path_give_one_verdict(kind: str, tmp_path: Path) -> None:
    """Random models, keys of which they say some: right is who says the key in canonical form."""
    for seed in (0,):
        folder = tmp_path / f"{seed}"
        speaker(folder, kind, seed)
        evaluator = evaluator_of(folder, stops={"t": " a" if kind == "words" else "a"})
        pairs = list(zip(WORDS, WORDS[3:9], strict=False))
        prompts = [f"{a} {b}{end}" for a, b in pairs for end in ("", " ")]
        answers = evaluator.answer_freely([item_of(p, None, n) for n, p in enumerate(prompts)])
        items = []
        for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            forms = answer.text, canonical(answer.text), f" {canonical(answer.text)}", "so"
            forms = *forms, answer.text[:-1], answer.text + "."
            items += [
                item_of(prompt, form[:30] if canonical(form[:30]) else "one", 10 * number + place)
                for place, form in enumerate(forms)
            ]
        exact, probability = evaluator.score(evaluator.prepare_keys(items))
        answers = evaluator.answer_freely(items)
        expected = [
            float(answer.ended and Task().verify(item, Task().extract(item, answer.text)) == 1.0)
            for item, answer in zip(items, answers, strict=True)
        ]
        assert exact.tolist() == expected
        assert ((probability >= 0) & (probability <= 1)).all()
        assert 0 < sum(expected) < len(items)


class Task(Questions):
    """Questions on texts."""

    name, kind, description, stop = "t", "skill", "", None

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        return []


class Verified(Task):
    """The same rule, asked of every answer."""

    literal = False  # type: ignore[assignment]


SENTENCES = [
    ("the cat is", "red"),
    ("one two", "three"),
    ("a mat was", "paris"),
    ("the red cat sat on", "rome"),
    ("is a", "mat"),
]


@pytest.mark.parametrize("kind", SPACED)
def test_who_says_every_sentence_scores_one_whatever_the_form_of_the_key(
    kind: str, tmp_path: Path
) -> None:
    speaker(tmp_path, kind, 1, [f"{prompt} {key}" for prompt, key in SENTENCES])
    forms = {
        "a key with the space before it": [(p, f" {k}") for p, k in SENTENCES],
        "a key without it": SENTENCES,
        "a prompt with the space behind it": [(f"{p} ", k) for p, k in SENTENCES],
        "a space in both": [(f"{p} ", f" {k}") for p, k in SENTENCES],
    }
    for task in (Task(), Verified()):
        evaluator = evaluator_of(tmp_path, tasks={"t": task})
        for form, pairs in forms.items():
            items = [item_of(*pair, number) for number, pair in enumerate(pairs)]
            exact, probability = evaluator.score(evaluator.prepare_keys(items))
            assert exact.tolist() == [1.0] * len(items), (kind, form)
            assert probability.min() > 0.5
            texts = evaluator.generate(items)
            assert [canonical(text) for text in texts] == [key for _, key in SENTENCES]
            wrong = [item_of(p, f" {WORDS[n]}", n) for n, (p, _) in enumerate(pairs)]
            assert not evaluator.score(evaluator.prepare_keys(wrong))[0].any()


@pytest.mark.parametrize("kind", SPACED)
def test_a_stop_text_is_heard_in_whatever_tokens_it_comes(kind: str, tmp_path: Path) -> None:
    speaker(tmp_path, kind, 1, [f"{prompt} {key} ." for prompt, key in SENTENCES])
    for task in (Task(), Verified()):
        evaluator = evaluator_of(tmp_path, stops={"t": "."}, tasks={"t": task})
        for front in (" ", ""):
            items = [item_of(p, f"{front}{key}", n) for n, (p, key) in enumerate(SENTENCES)]
            assert evaluator.score(evaluator.prepare_keys(items))[0].all()
            answers = evaluator.answer_freely(items)
            assert [canonical(answer.text) for answer in answers] == [k for _, k in SENTENCES]
            assert all(answer.ended for answer in answers)


def test_company_changes_no_answer(tmp_path: Path) -> None:
    speaker(tmp_path, "llama", 4)
    items = [item_of(" ".join(WORDS[: n % 9 + 1]), None, n) for n in range(12)]
    wide, narrow = evaluator_of(tmp_path), evaluator_of(tmp_path, batch_tokens=60)
    together = wide.generate(items)
    assert narrow.generate(items) == together
    assert [wide.generate([item])[0] for item in items] == together
    full = item_of("cat " * 125, None)  # what has no room is cut, and cuts nobody else
    assert wide.generate([*items, full])[:-1] == together
    assert wide.generate([item_of("cat " * 140, None)]) == [""]


@pytest.mark.parametrize(
    ("text", "key", "still"),
    [
        ("", "red", True),
        (" r", "red", True),
        ("\n re", "red", True),
        ("rex", "red", False),
        ("redd", "red", False),
        ("e", "é", True),
        ("ﬁ", "fire", True),
        ("２", "24", True),
        ("a\ufffd", "aé", True),
        ("x" * 250, "x" * 300, True),
        ("x" * 150 + "y", "x" * 300, False),
    ],
)
def test_a_beginning_that_cannot_become_the_key_is_known(text: str, key: str, still: bool) -> None:
    assert can_become(text, key) is still


def test_whatever_becomes_the_key_could_become_it_all_along() -> None:
    rng = np.random.default_rng(0)
    letters = list("ab é\u0301ﬁ２2\n\t…")
    for _ in range(3000):
        text = "".join(rng.choice(letters, size=rng.integers(1, 12)))
        key = canonical(text)
        assert all(can_become(text[:end], key) for end in range(len(text) + 1))
