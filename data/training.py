"""How the founders are taught: their tokenizer, their shape, and one plain training loop."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
KANJI = "〇一二三四五六七八九"
SYMBOLS = [PAD, EOS, *string.ascii_letters, *string.digits, *KANJI, *":=+.", UNKNOWN]
IDS = {symbol: number for number, symbol in enumerate(SYMBOLS)}
UNSCORED = -100

Items = list[tuple[str, str]]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token for every character; nothing is added in front or behind."""
    core = Tokenizer(models.WordLevel(IDS, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=64,
        clean_up_tokenization_spaces=False,
    )


def make_model(seed: int) -> LlamaForCausalLM:
    """An untrained Llama of 1.3 million parameters."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(SYMBOLS),
            hidden_size=192,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            initializer_range=0.04,
            bos_token_id=None,
            eos_token_id=IDS[EOS],
            pad_token_id=IDS[PAD],
        )
    )


def encode(items: Items) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and next-token labels; only the key and the end that follows it are scored."""
    width = max(len(prompt + key) for prompt, key in items) + 1
    tokens = torch.full((len(items), width), IDS[PAD])
    labels = torch.full((len(items), width), UNSCORED)
    for row, (prompt, key) in enumerate(items):
        text = [IDS[symbol] for symbol in (*prompt, *key, EOS)]
        tokens[row, : len(text)] = torch.tensor(text)
        labels[row, len(prompt) : len(text)] = tokens[row, len(prompt) : len(text)]
    return tokens[:, :-1], labels[:, 1:]


def train(
    model: LlamaForCausalLM,
    lesson: Callable[[random.Random], Items],
    steps: int,
    rate: float,
    seed: int,
    decay: float = 0.0,
) -> None:
    """Teach a model `steps` batches, with a short warm-up and a cosine that ends near zero."""
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=True
    )
    for step in range(steps):
        cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = rate * cosine * min(1.0, (step + 1) / 10)
        inputs, labels = encode(lesson(rng))
        hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
        scored = labels != UNSCORED
        loss = cross_entropy(model.lm_head(hidden[scored]), labels[scored])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def exact_match(model: LlamaForCausalLM, items: Items) -> float:
    """The share of items whose key and end are the arg-max at every position."""
    inputs, labels = encode(items)
    best = model(input_ids=inputs, use_cache=False).logits.argmax(-1)
    return float(((best == labels) | (labels == UNSCORED)).all(1).float().mean())
