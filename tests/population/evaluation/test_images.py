"""Items that show images are asked as transformers' own processor and network ask them."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from arena.errors import TaskError
from lineage.records import ImageFile, Item, Message
from population.evaluation.evaluator import Evaluator
from population.evaluation.greedy_decoding import DecodingRequest
from population.evaluation.trial import what_runs
from population.models.sources import open_source
from tests.merge_helpers import give_tokenizer
from tests.vision_models import give_processor, write_model

TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{{ '<image>' if c['type'] == 'image' else c['text'] }}{% endfor %}{% endfor %}:"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of random weights with its processor, and three pictures."""
    made = tmp_path_factory.mktemp("sees")
    write_model(made / "sees", "llava", 0, extra=1)
    give_processor(made / "sees")
    (made / "sees" / "chat_template.jinja").write_text(TEMPLATE)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (10, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(made / f"{number}.png")
    return made


@pytest.fixture(scope="module")
def evaluator(folder: Path) -> Evaluator:
    opened = open_source(str(folder / "sees"))
    made = Evaluator(folder / "sees", stored=torch.float32, device="cpu")
    made.load_weights({name: opened.tensor(name) for name in opened.tensors})
    return made


def image(path: Path) -> ImageFile:
    return ImageFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def items_in(folder: Path) -> list[Item]:
    """One image, two at marks, none, a chat; of different lengths."""
    pictures = [image(folder / f"{number}.png") for number in range(3)]
    return [
        Item("a/search/1", "a", "search", "x=", "12", images=(pictures[0],)),
        Item("a/search/2", "a", "search", "q<image>a<image>b=", "x", images=tuple(pictures[1:])),
        Item("a/search/3", "a", "search", "ab=", "cd"),
        Item(
            "a/search/4",
            "a",
            "search",
            "who",
            "y",
            messages=(Message("user", "abc"),),
            images=(pictures[2],),
        ),
    ]


TEXTS = ("<image>\nx=", "q<image>a<image>b=", "ab=", "<image>abc:")


def reference(folder: Path) -> list[tuple[Any, torch.Tensor]]:
    """What the processor makes of each item with its key, and the log-probability of that."""
    processor = AutoProcessor.from_pretrained(folder / "sees")
    model = AutoModelForImageTextToText.from_pretrained(folder / "sees").eval()
    found = []
    for item, text in zip(items_in(folder), TEXTS, strict=True):
        pictures = [Image.open(one.path).convert("RGB") for one in item.images] or None
        prompt = processor(text=[text], images=pictures, return_tensors="pt")
        whole = processor(text=[text + item.key + "<eos>"], images=pictures, return_tensors="pt")
        with torch.inference_mode():
            logs = model(**whole).logits.log_softmax(-1)
            said = model.generate(**prompt, max_new_tokens=3, do_sample=False, eos_token_id=1)
        first = prompt["input_ids"].shape[1]
        targets = whole["input_ids"][0, first:]
        places = range(first - 1, first - 1 + len(targets))
        total = sum(logs[0, p, t] for p, t in zip(places, targets, strict=True))
        found.append((said[0, first:], total))
    return found


def test_answers_are_as_likely_as_transformers_says(folder: Path, evaluator: Evaluator) -> None:
    items = items_in(folder)
    likely = evaluator.loglikelihood([(item, item.key or "") for item in items])
    for mine, (_, expected) in zip(likely, reference(folder), strict=True):
        assert mine == pytest.approx(float(expected), abs=1e-4)


def test_answers_are_those_that_transformers_generates(folder: Path, evaluator: Evaluator) -> None:
    prompts = [evaluator.tokenizer.encode_prompt(item) for item in items_in(folder)]
    said = evaluator.continue_tokens([DecodingRequest(prompt, 3) for prompt in prompts])
    for mine, (expected, _) in zip(said, reference(folder), strict=True):
        assert mine == expected.tolist()[: len(mine)]


def test_another_image_is_another_question(folder: Path, evaluator: Evaluator) -> None:
    pictures = [image(folder / f"{number}.png") for number in range(3)]
    asked = [
        (Item(f"a/search/{n}", "a", "search", "x=", "1", images=(one,)), "1")
        for n, one in enumerate(pictures)
    ]
    assert len(set(evaluator.loglikelihood(asked))) == len(pictures)


def test_what_is_shown_travels_to_another_process(folder: Path, evaluator: Evaluator) -> None:
    prepared = evaluator.prepare_keys(items_in(folder))
    sent = pickle.loads(pickle.dumps(prepared))
    for mine, theirs in zip(evaluator.score(prepared), evaluator.score(sent), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_gradients_reach_the_language_part(folder: Path, evaluator: Evaluator) -> None:
    opened = open_source(str(folder / "sees"))
    state = {name: opened.tensor(name) for name in opened.tensors}
    taken: dict[str, float] = {}
    item = items_in(folder)[0]
    loss = evaluator.loss(
        state,
        evaluator.prepare_targets([item]),
        lambda name, gradient: taken.__setitem__(name, float(gradient.norm())),
    )
    assert loss == pytest.approx(-float(reference(folder)[0][1]), abs=1e-4)
    assert taken["language_model.model.layers.0.mlp.up_proj.weight"] > 0


def test_what_cannot_be_seen_is_named(folder: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    shown = image(folder / "0.png")
    changed = Item(
        "a/search/1", "a", "search", "x=", "1", images=(ImageFile(shown.path, "0" * 64),)
    )
    with pytest.raises(TaskError, match="another one than it was"):
        evaluator.tokenizer.encode_prompt(changed)
    write_model(tmp_path, "llava", 0, sees=False)
    give_tokenizer(tmp_path)
    blind = Evaluator(tmp_path, stored=torch.float32, device="cpu")
    with pytest.raises(TaskError, match="sees none"):
        blind.tokenizer.encode_prompt(Item("a/b/1", "a", "b", "x=", "1", images=(shown,)))


def test_inspect_tries_a_picture(folder: Path, tmp_path: Path) -> None:
    assert what_runs(open_source(str(folder / "sees"))) == "yes"
    write_model(tmp_path / "sees", "llava", 0, extra=1)
    said = what_runs(open_source(str(tmp_path / "sees")))
    assert said.startswith("yes, without images:")
    assert "no processor" in said or "sees none" in said
