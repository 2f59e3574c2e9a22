"""Four founders: a language model, and what it becomes as it learns to see, speak and add.

    pip install 'model-colony[images]' scikit-learn
    python data/examples/vision/make_founders.py models

About three minutes of processor time. All of them read scenes as words, but for `sees`: a LLaVA
with a tower and a projector of its own, which was taught on pictures and answers in English. A
founder that is there already is left as it is, so a run that was stopped goes on with the next one.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scenes
import torch
from scenes import Question, Scene, picture, questions
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip import CLIPImageProcessorPil
from transformers.utils import logging

from lineage.storage.atomic_file import whole_folder

PAD, END, UNKNOWN, IMAGE = "<pad>", "<end>", "<unk>", "<image>"
IDS = {word: number for number, word in enumerate([PAD, END, UNKNOWN, IMAGE, *scenes.WORDS])}
PATCHES = scenes.SIDE**2
"""Tokens that a picture takes: one for each cell."""

UNSCORED = -100
SILENCE = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Lesson:
    """A part of what a founder is taught.

    Attributes:
        kinds: of questions, see `scenes.KINDS`.
        language: "english" or "japanese".
        share: of a batch.
        seen: whether scenes are pictures.
        most: shapes in a scene.
    """

    kinds: tuple[str, ...]
    language: str
    share: float
    seen: bool = False
    most: int = 6


FACTS = ("count", "colour", "digit")
ENGLISH = Lesson(FACTS, "english", 1.0)


@dataclass(frozen=True)
class Course:
    """How a founder is taught.

    Attributes:
        lessons: the parts of each batch.
        steps: of training.
        rate: the highest learning rate.
    """

    lessons: tuple[Lesson, ...]
    steps: int
    rate: float


COURSES = {
    "base": Course((ENGLISH, Lesson(("plus",), "english", 0.1)), 320, 3e-3),
    "sees": Course(
        (Lesson(FACTS, "english", 0.75, seen=True), Lesson(FACTS, "english", 0.25)), 420, 2e-3
    ),
    "speaks": Course((Lesson(FACTS, "japanese", 0.7), Lesson(FACTS, "english", 0.3)), 200, 1e-3),
    "adds": Course((Lesson(("plus",), "english", 0.7), Lesson(FACTS, "english", 0.3)), 150, 1e-3),
}


def main() -> None:
    """Teach every founder that is not there yet, and say what it can do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="where each founder gets a folder of its name")
    parser.add_argument("--only", nargs="+", choices=COURSES, help="these alone")
    parser.add_argument("--steps", type=int, help="of each course; default: by founder")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    for name in options.only or COURSES:
        if (options.out / name).exists():
            print(f"{name}: is there already")
            continue
        make(name, options.out, options.steps)


def make(name: str, out: Path, steps: int | None = None) -> None:
    """Teach one founder and write it into a folder of its name.

    Args:
        name: in `COURSES`; all but the base start from the base, which has to be in `out`.
        out: where founders lie.
        steps: of training; by default what its course says.
    """
    torch.manual_seed(0)
    course, model = COURSES[name], new_language_model()
    if name != "base":
        model = LlamaForCausalLM.from_pretrained(out / "base")
    if name == "sees":
        model = with_eyes(model)
        name_cells(model, 200 if steps is None else steps)
    teach(name, model, course, steps or course.steps)
    for lesson in (*course.lessons, Lesson(FACTS, "japanese", 0, seen=name == "sees")):
        where = "pictures" if lesson.seen else "words"
        right = exact_match(model, lesson)
        print(
            f"{name}: {right:.2f} on {', '.join(lesson.kinds)} of {where} in {lesson.language}",
            flush=True,
        )
    with whole_folder(out / name) as folder:
        model.save_pretrained(folder)
        (new_processor() if name == "sees" else new_tokenizer()).save_pretrained(folder)


def new_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word."""
    core = Tokenizer(models.WordLevel(IDS, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=96,
        clean_up_tokenization_spaces=False,
    )


def new_processor() -> LlavaProcessor:
    """What makes pictures and words tokens and pixels."""
    size = {"height": scenes.SIDE * scenes.CELL, "width": scenes.SIDE * scenes.CELL}
    pixels = CLIPImageProcessorPil(
        do_resize=True, size=size, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=pixels,
        tokenizer=new_tokenizer(),
        patch_size=scenes.CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
    )


def new_language_model() -> LlamaForCausalLM:
    """An untrained Llama of 0.7 million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(IDS),
            hidden_size=128,
            intermediate_size=320,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=96,
            initializer_range=0.04,
            bos_token_id=None,
            eos_token_id=IDS[END],
            pad_token_id=IDS[PAD],
        )
    )


def with_eyes(language: LlamaForCausalLM) -> LlavaForConditionalGeneration:
    """A LLaVA around a language model, with an untrained tower and projector."""
    tower = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=scenes.SIDE * scenes.CELL,
        patch_size=scenes.CELL,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=language.config,
        image_token_index=IDS[IMAGE],
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        eos_token_id=IDS[END],
        pad_token_id=IDS[PAD],
    )
    model = LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.lm_head.load_state_dict(language.lm_head.state_dict())
    return model


def pixel_values(shown: Sequence[Scene], seed: int) -> torch.Tensor:
    """Pictures as the processor gives them to a model, shape (scenes, 3, 24, 24)."""
    pixels = np.stack([picture(scene, seed + number) for number, scene in enumerate(shown)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def name_cells(model: LlavaForConditionalGeneration, steps: int, batch: int = 64) -> None:
    """Teach tower and projector to give each cell a sign for each of its two words.

    The signs are drawn by chance, as long as embeddings are. The language model is not changed and
    knows none of them: to read them is what it learns in its course.
    """
    rng, embeddings = random.Random("cells"), model.get_input_embeddings().weight.detach()
    signs = torch.randn(embeddings.shape) * embeddings.std()
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    optimizer = torch.optim.AdamW([*tower.parameters(), *projector.parameters()], lr=2e-3)
    for step in range(steps):
        shown = [scenes.scene(rng) for _ in range(batch)]
        named = torch.tensor([[[IDS[w] for w in cell] for cell in one.table] for one in shown])
        seen = model.model.get_image_features(pixel_values(shown, step * batch)).pooler_output
        logits = 10 * torch.stack(list(seen)).flatten(0, 1) @ signs.T
        first, second = (cross_entropy(logits, named[..., n].flatten()) for n in (0, 1))
        loss = (first + second) / 2
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 49:
            told = f"step {step + 1} of {steps}, loss {float(loss.detach()):.3f}"
            print(f"sees: cells named, {told}", flush=True)


def encode(
    asked: Sequence[tuple[Scene, Question]], lesson: Lesson
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and next-token labels; only the answer and the end that follows it are scored."""
    texts = []
    for scene, question in asked:
        shown = " ".join([IMAGE] * PATCHES) if lesson.seen else scene.text
        prompt = [IDS[word] for word in question.prompt(shown, lesson.language).split()]
        texts.append((prompt, [IDS[question.answer(lesson.language)], IDS[END]]))
    width = max(len(prompt) + len(answer) for prompt, answer in texts)
    tokens = torch.full((len(texts), width), IDS[PAD])
    labels = torch.full((len(texts), width), UNSCORED)
    for row, (prompt, answer) in enumerate(texts):
        end = len(prompt) + len(answer)
        tokens[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return tokens[:, :-1], labels[:, 1:]


def _logits(model: Any, asked: Sequence[tuple[Scene, Question]], lesson: Lesson, seed: int) -> Any:
    inputs, labels = encode(asked, lesson)
    seen = (
        {"pixel_values": pixel_values([scene for scene, _ in asked], seed)} if lesson.seen else {}
    )
    return model(input_ids=inputs, use_cache=False, **seen).logits, labels


def teach(name: str, model: Any, course: Course, steps: int, batch: int = 48) -> None:
    """Teach a model, with a short warm-up and a cosine that ends near zero."""
    rng, started, told = random.Random(name), time.monotonic(), time.monotonic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=course.rate, betas=(0.9, 0.98))
    model.train()
    for step in range(steps):
        cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = course.rate * cosine * min(1.0, (step + 1) / 20)
        total = 0.0
        for lesson in course.lessons:
            count = max(1, round(batch * lesson.share))
            asked = questions(rng, lesson.kinds, count, most=lesson.most)
            logits, labels = _logits(model, asked, lesson, seed=step * batch)
            scored = labels != UNSCORED
            loss = lesson.share * cross_entropy(logits[scored], labels[scored])
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if time.monotonic() - told > SILENCE:
            told = time.monotonic()
            left = (told - started) / (step + 1) * (steps - step - 1)
            print(
                f"{name}: step {step + 1} of {steps}, loss {total:.3f}, {left:.0f} s left",
                flush=True,
            )
    model.eval()


@torch.no_grad()
def exact_match(model: Any, lesson: Lesson, count: int = 300) -> float:
    """The share of questions nobody was taught whose answer and end are the arg-max."""
    asked = questions(random.Random("asked"), lesson.kinds, count, most=lesson.most, held_out=True)
    logits, labels = _logits(model, asked, lesson, seed=10**6)
    return float(((logits.argmax(-1) == labels) | (labels == UNSCORED)).all(1).float().mean())


if __name__ == "__main__":
    main()
