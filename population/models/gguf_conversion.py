"""GGUF files become checkpoints: transformers reads them, once, into the user's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lineage.storage.atomic_file import whole_folder
from population.errors import CheckpointError

DIGIT_BY_DIGIT = {
    "codeshell",
    "command-r",
    "exaone",
    "minerva-7b",
    "refact",
    "smollm",
    "starcoder",
}
"""Values of `tokenizer.ggml.pre` with which every digit stands by itself before bytes are merged
(llama.cpp, src/llama-vocab.cpp). transformers passes over that field."""

FORM = "digits by themselves"
"""Says what conversions do; other words for it than those in the cache make them anew."""


def convert_gguf(path: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """The checkpoint that a GGUF file makes: dequantised, in bf16.

    Args:
        path: the file.
        cache: a folder where checkpoints are kept, by the identity of their files.
        say: called with a line before what takes long.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: packages are missing, or transformers cannot convert it.
    """
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{FORM}".encode()
    target = cache / f"{path.stem}-{hashlib.sha256(key).hexdigest()[:12]}"
    if (target / "config.json").is_file():
        return target
    say(f"converting {path.name} (once; it will be in {target})")
    try:
        import torch  # noqa: PLC0415
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.bfloat16
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        _cut_off_digits(tokenizer, path)
        state = model.state_dict()
        config = model.config
        # transformers refuses to save what it loaded from GGUF, so a model is made afresh.
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(state)
        plain.tie_weights()
        with whole_folder(target) as draft:
            plain.save_pretrained(draft)
            tokenizer.save_pretrained(draft)
    except ImportError as error:
        raise CheckpointError(f"{path}: GGUF needs two more packages: {error}") from None
    except Exception as error:  # noqa: BLE001 - what is no GGUF may break its reader anywhere
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f"{path}: transformers cannot convert it: {reason}") from None
    return target


def _cut_off_digits(tokenizer: Any, path: Path) -> None:
    """Have a tokenizer cut every digit off by itself, if its file says so."""
    from gguf import GGUFReader  # noqa: PLC0415
    from tokenizers import pre_tokenizers  # noqa: PLC0415

    stated = GGUFReader(path).get_field("tokenizer.ggml.pre")
    core = tokenizer.backend_tokenizer
    if stated is not None and stated.contents() in DIGIT_BY_DIGIT:
        digits = pre_tokenizers.Digits(individual_digits=True)
        core.pre_tokenizer = pre_tokenizers.Sequence([digits, core.pre_tokenizer])
