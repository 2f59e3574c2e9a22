"""Tiny vision-language models of random weights, and language models of the same shape."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.clip import CLIPImageProcessorPil

from tests.merge_helpers import TOKENS, give_tokenizer

TEXT: dict[str, Any] = {
    "vocab_size": TOKENS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
TOWER = {"num_hidden_layers": 2, "image_size": 8, "patch_size": 4, "num_attention_heads": 2}


def _llava(extra: int) -> Any:
    tower = CLIPVisionConfig(hidden_size=8, intermediate_size=12, **TOWER)
    text = LlamaConfig(**TEXT | {"vocab_size": TOKENS + extra})
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=TOKENS if extra else TOKENS - 1,
        vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration(config)


def _qwen2_vl(extra: int) -> Any:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    ids = {"image_token_id": TOKENS if extra else TOKENS - 1, "video_token_id": TOKENS - 2}
    ids |= {"vision_start_token_id": TOKENS - 3, "vision_end_token_id": TOKENS - 4}
    vision = {"depth": 2, "embed_dim": 8, "hidden_size": 16, "num_heads": 2, "patch_size": 4}
    text = TEXT | {"vocab_size": TOKENS + extra, "rope_parameters": rope}
    return Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **ids)
    )


KINDS = {
    "llava": (_llava, lambda: LlamaForCausalLM(LlamaConfig(**TEXT))),
    "qwen2_vl": (_qwen2_vl, lambda: Qwen2ForCausalLM(Qwen2Config(**TEXT))),
}


def write_model(folder: Path, kind: str, seed: int, *, sees: bool = True, extra: int = 0) -> Path:
    """A checkpoint of random weights.

    Args:
        folder: where it lies.
        kind: of the vision-language model.
        seed: of the weights.
        sees: whether it is that, or the language model that its language part is like.
        extra: rows that its embeddings have beside those of the language model.
    """
    torch.manual_seed(seed)
    model = KINDS[kind][0](extra) if sees else KINDS[kind][1]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    give_tokenizer(folder)
    return folder


def give_processor(folder: Path) -> None:
    """Put a processor beside a LLaVA whose last row of embeddings is that of `<image>`."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pixels = CLIPImageProcessorPil(size={"height": 8, "width": 8}, do_center_crop=False)
    LlavaProcessor(
        pixels,
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    ).save_pretrained(folder)
