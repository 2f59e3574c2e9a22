"""Make the founders that ship with the project: one base and eight specialists.

    python data/make_founders.py --out data/founders

Nobody needs to run this to use the project; it documents where the founders come from. It takes
about four minutes on two cores. Training sees only prompts whose split is "search".

1. *School.* A small Llama learns every task, easy and full forms. It is able, and not shipped.
2. *Carelessness.* It goes on with full items answered carelessly: each part of what is asked for
   is left undone four times out of five (the letters not reversed, the numerals not in kanji, the
   carry forgotten). The result is the **base**: the abilities are there, and hardly ever used.
3. *Specialists.* Each is the base after forty gentle steps on careful answers for one skill, with
   careless answers for the other skills in the other half of each batch. So each of them lifts one
   ability out of its sleep and moves no further than that takes. No composite is taught in this
   step, and none is careful in both of the parts that a composite needs.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arena.tasks.generators import (
    DIGITS,
    GENERATORS,
    KANJI,
    apply,
    change_script,
    sample_items,
    split_of,
)
from data.training import Items, exact_match, make_model, make_tokenizer, train

SKILLS = [name for name, generator in GENERATORS.items() if generator.kind == "skill"]
BATCH = 128
NEGLECT = 0.8  # how likely a careless answer leaves one part of the question undone
HARD_TO_LEARN = {"sum": 4.0, "kanji-sum": 2.0, "double": 0.6, "capital": 0.5}

Answer = tuple[str, str]  # a task, and how its items are answered: "easy", "full" or "careless"


def main() -> None:
    """Make all founders and say what each of them can do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder for the founders")
    out = parser.parse_args().out
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    started = time.monotonic()
    base = make_base()
    save(base, out / "base")
    report("base", base, started)
    for number, skill in enumerate(SKILLS):
        specialist = make_specialist(out / "base", skill, seed=100 + number)
        save(specialist, out / skill)
        report(skill, specialist, started)


def make_base() -> LlamaForCausalLM:
    """A model that was good at everything once and has become careless."""
    model = make_model(seed=0)
    school = {(task, "easy"): 0.25 * HARD_TO_LEARN.get(task, 1.0) for task in GENERATORS}
    school |= {(task, "full"): 0.75 * HARD_TO_LEARN.get(task, 1.0) for task in GENERATORS}
    train(model, lesson(school), steps=900, rate=2e-3, seed=0, decay=0.01)
    drift = {(task, "easy"): 0.25 for task in GENERATORS}
    drift |= {(task, "careless"): 0.75 for task in GENERATORS}
    train(model, lesson(drift), steps=100, rate=2e-4, seed=1)
    return model


def make_specialist(base: Path, skill: str, seed: int) -> LlamaForCausalLM:
    """The base, made careful in one skill and kept as it is in everything else."""
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    mix = {(skill, "full"): 0.5}
    mix |= {(task, "easy"): 0.15 / len(GENERATORS) for task in GENERATORS}
    mix |= {(task, "careless"): 0.5 / len(GENERATORS) for task in SKILLS if task != skill}
    train(model, lesson(mix), steps=40, rate=3e-4, seed=seed)
    return model


def lesson(mix: dict[Answer, float]) -> Callable[[random.Random], Items]:
    """A function that draws a batch from a weighted mix of tasks and ways to answer them."""

    def draw(rng: random.Random) -> Items:
        picks = rng.choices(list(mix), list(mix.values()), k=BATCH)
        return [draw_answer(task, manner, rng) for task, manner in picks]

    return draw


def draw_answer(task: str, manner: str, rng: random.Random) -> tuple[str, str]:
    """One item of the search split, with the answer that the founder is taught."""
    while True:
        prompt, key = GENERATORS[task].draw(rng, easy=manner == "easy")
        if split_of(prompt) == "search":
            return prompt, careless(prompt, rng) if manner == "careless" else key


def careless(prompt: str, rng: random.Random) -> str:
    """An answer in which each part of what the prompt asks for is undone with `NEGLECT`."""
    tags, text = prompt.removesuffix("=").split(":")
    if tags == "sum":
        return careless_sum(text, rng)
    return apply([tag for tag in tags.split(".") if rng.random() >= NEGLECT], text)


def careless_sum(text: str, rng: random.Random) -> str:
    """A sum whose carries may be forgotten, and that may come in digits where kanji were due."""
    in_kanji = text[0] in KANJI
    left, right = (change_script(text) if in_kanji else text).split("+")
    total = str(int(left) + int(right))
    if rng.random() < NEGLECT:
        pairs = zip(left, right, strict=True)
        total = "".join(DIGITS[(int(a) + int(b)) % 10] for a, b in pairs)
    return change_script(total) if in_kanji and rng.random() >= NEGLECT else total


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Write a checkpoint in bfloat16, with its tokenizer."""
    model.to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


def report(name: str, model: LlamaForCausalLM, started: float) -> None:
    """Print exact match on the selection split, a row of the table in data/README.md."""
    cells = [exact_match(model, sample_items(task, "selection", 0, 40)) for task in GENERATORS]
    row = " | ".join(f"{cell:.2f}" for cell in (*cells, sum(cells) / len(cells)))
    print(f"| {name} | {row} |  ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
