"""Four LoRA specialists of a base, each taught one skill with questions made by seed.

    pip install peft
    python data/examples/smollm2/make_specialists.py models/base models

A few minutes each on two idle cores. The loss is that of the answers alone. A specialist that is
there already is left as it is, so a run that was stopped goes on with the next one.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from skills import SKILLS, Exercise, lessons
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from lineage.storage.atomic_file import whole_folder

UNSCORED = -100

MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""What gets an adapter, in the upper two thirds of the layers."""

SILENCE = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Teaching:
    """How specialists are taught.

    Attributes:
        batch: questions of a step.
        rate: the highest learning rate; it rises for a tenth of the steps and falls to zero.
        rank: of the adapters.
        asked: questions that a specialist and its base are compared on, which nobody was taught.
    """

    batch: int = 4
    rate: float = 1e-3
    rank: int = 8
    asked: int = 40


USUAL = Teaching()


def main() -> None:
    """Teach every specialist that is not there yet, and say what it can do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path, help="the base, a checkpoint with a chat template")
    parser.add_argument("out", type=Path, help="where each specialist gets a folder of its name")
    parser.add_argument("--only", nargs="+", metavar="SKILL", help="these alone")
    parser.add_argument("--steps", type=int, help="of training; default: by skill")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    taught = options.only or [name for name, skill in SKILLS.items() if skill.steps]
    for skill in taught:
        if (options.out / skill).exists():
            print(f"{skill}: is there already")
            continue
        steps = options.steps or SKILLS[skill].steps
        teach(skill, options.base, options.out / skill, steps)


def teach(
    skill: str, base: Path, out: Path, steps: int, teaching: Teaching = USUAL
) -> tuple[float, float]:
    """Teach one specialist.

    Returns:
        The exact match of the base and of the specialist, on questions that nobody was taught.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(0)
    # Weights stay in fp32: under autocast that is sooner than bf16 on a CPU.
    network = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    layers = network.config.num_hidden_layers
    config = LoraConfig(
        r=teaching.rank,
        lora_alpha=2 * teaching.rank,
        target_modules=MATRICES,
        # The backward pass ends at the lowest of them.
        layers_to_transform=list(range(layers // 3, layers)),
        layers_pattern="layers",
    )
    model = get_peft_model(network, config)
    stream = lessons(skill)
    unseen = list(itertools.islice(stream, teaching.asked))
    _descend(model, tokenizer, stream, skill, steps, teaching)
    with model.disable_adapter():
        before = exact_match(model, tokenizer, unseen)
    after = exact_match(model, tokenizer, unseen)
    print(f"{skill}: exact match {before:.2f} before, {after:.2f} after", flush=True)
    with whole_folder(out) as draft:
        model.save_pretrained(draft)
        (draft / "accuracy.json").write_text(json.dumps({"base": before, "specialist": after}))
    return before, after


def _descend(
    model: Any,
    tokenizer: Any,
    stream: Iterator[Exercise],
    skill: str,
    steps: int,
    teaching: Teaching,
) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=teaching.rate, weight_decay=0.0)
    started = said = time.monotonic()
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = teaching.rate * _schedule(step, steps)
        loss = _loss(model, *encode(tokenizer, list(itertools.islice(stream, teaching.batch))))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if (now := time.monotonic()) - said > SILENCE or step + 1 == steps:
            said, left = now, (now - started) * (steps / (step + 1) - 1)
            done = f"{skill}: step {step + 1} of {steps}"
            print(f"{done}  loss {loss.item():.3f}  left {left:.0f} s", flush=True)
    model.eval()


def _schedule(step: int, steps: int) -> float:
    """The part of the highest learning rate at a step: a short rise, then half a cosine."""
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def encode(tokenizer: Any, asked: Sequence[Exercise]) -> tuple[torch.Tensor, torch.Tensor]:
    """Chats with their answers as tokens, and what is to be predicted.

    Returns:
        Tokens and targets, each of shape (questions, length); only answers and their ends count.
    """
    rows = []
    for question in asked:
        prompt = tokenizer.apply_chat_template(
            question.messages, add_generation_prompt=True, tokenize=False
        )
        context = tokenizer.encode(prompt, add_special_tokens=False)
        answer = tokenizer.encode(question.key, add_special_tokens=False)
        rows.append((context, [*answer, tokenizer.eos_token_id]))
    length = max(len(context) + len(answer) for context, answer in rows) - 1
    tokens = torch.zeros((len(rows), length), dtype=torch.long)
    targets = torch.full((len(rows), length), UNSCORED)
    for row, (context, answer) in enumerate(rows):
        text = torch.tensor([*context, *answer])
        tokens[row, : len(text) - 1] = text[:-1]
        targets[row, len(context) - 1 : len(text) - 1] = text[len(context) :]
    return tokens, targets


def _scored_logits(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The logits where something is to be predicted, shape (predictions, vocabulary)."""
    causal = model.get_base_model()
    with torch.autocast("cpu", torch.bfloat16, enabled=_bf16_is_fast()):
        hidden = causal.model(tokens).last_hidden_state[targets != UNSCORED]
        return causal.lm_head(hidden).float()


def _bf16_is_fast() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _loss(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(_scored_logits(model, tokens, targets), targets[targets != UNSCORED])


@torch.no_grad()
def exact_match(model: Any, tokenizer: Any, asked: Sequence[Exercise], batch: int = 16) -> float:
    """The part of the questions to which greedy decoding gives the key and its end."""
    right = 0
    for start in range(0, len(asked), batch):
        tokens, targets = encode(tokenizer, asked[start : start + batch])
        told = torch.full_like(targets, UNSCORED)
        told[targets != UNSCORED] = _scored_logits(model, tokens, targets).argmax(-1)
        right += int((told == targets).all(dim=1).sum())
    return right / len(asked)


if __name__ == "__main__":
    main()
