"""Tokenizers of every build, and tiny models that say what they are taught."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = [
    *("the", "cat", "sat", "on", "a", "red", "mat", "one"),
    *("two", "three", "four", "is", "was", "paris", "rome"),
]
SPECIAL = ("<unk>", "<s>", "</s>")
TURN_END = "<|end|>"
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)
"""A chat template, whose turns end with a token that is not the end of a sequence."""


def _merged(words: Sequence[str], marker: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and merges of a byte-pair tokenizer that knows some words."""
    letters = sorted({c for word in words for c in word} | set("0123456789=:.,?!-"))
    vocabulary = {t: n for n, t in enumerate([*SPECIAL, marker, "Ċ", *letters])}
    merges: list[tuple[str, str]] = []
    for word in words:
        for start in (marker, ""):
            have = start or word[0]
            for letter in word if start else word[1:]:
                merges.append((have, letter))
                have += letter
                vocabulary.setdefault(have, len(vocabulary))
    return vocabulary, list(dict.fromkeys(merges))


def _bytes() -> Tokenizer:
    vocabulary, merges = _merged(WORDS, "Ġ")
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def _llama() -> Tokenizer:
    """As Llama 2 and Mistral have it: a space marker before every text."""
    vocabulary, merges = _merged(WORDS, "▁")
    made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return made


def _metaspace(scheme: str) -> Callable[[], Tokenizer]:
    def make() -> Tokenizer:
        vocabulary, merges = _merged(WORDS, "▁")
        made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        made.decoder = decoders.Metaspace(prepend_scheme=scheme)
        return made

    return make


def _unigram() -> Tokenizer:
    pieces = [*SPECIAL, "▁", *(f"▁{word}" for word in WORDS), *WORDS]
    letters = sorted({c for word in WORDS for c in word} | set("0123456789=:.,?!-"))
    known = list(dict.fromkeys([*pieces, *letters]))
    made = Tokenizer(models.Unigram([(p, -float(1 + 9 * (len(p) == 1))) for p in known], 0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    # As T5 has it: what is encoded is ended.
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return made


def _words() -> Tokenizer:
    made = Tokenizer(
        models.WordLevel(
            {t: n for n, t in enumerate([*SPECIAL, *WORDS, *"0123456789=:.,?!"])}, unk_token="<unk>"
        )
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def _letters() -> Tokenizer:
    symbols = sorted({c for word in WORDS for c in word} | set("0123456789=:.,?! "))
    made = Tokenizer(
        models.WordLevel({t: n for n, t in enumerate([*SPECIAL, *symbols])}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.decoder = decoders.Fuse()
    return made


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": _bytes,
    "llama": _llama,
    "metaspace first": _metaspace("first"),
    "metaspace always": _metaspace("always"),
    "unigram": _unigram,
    "words": _words,
    "letters": _letters,
}


def tokenizer_of(kind: str, template: str | None = None) -> PreTrainedTokenizerFast:
    made = TOKENIZERS[kind]()
    control = (*SPECIAL, TURN_END) if template else SPECIAL
    made.add_special_tokens([AddedToken(token, special=True) for token in control])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = template
    return tokenizer


def speaker(
    folder: Path,
    kind: str,
    seed: int = 0,
    taught: Sequence[str] = (),
    template: str | None = None,
) -> LlamaForCausalLM:
    """A tiny Llama with such a tokenizer, saved in a folder; taught to say some texts and end."""
    tokenizer = tokenizer_of(kind, template)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=None,
            initializer_range=0.3,
        )
    )
    with torch.no_grad():  # chance should say words, and no control tokens but the end
        model.lm_head.weight[:2] = 0.0
    if taught:
        ended = [tokenizer.encode(text) for text in taught]
        rows = [ids if ids[-1] == 2 else [*ids, 2] for ids in ended]
        width = max(map(len, rows))
        tokens = torch.tensor([[*row, *[2] * (width - len(row))] for row in rows])
        labels = torch.tensor([[*row, *[-100] * (width - len(row))] for row in rows])
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(100):
            loss = model(tokens, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
