"""Vision-language models: a vision tower, a projector, and a language model behind them.

Names of tensors are those of LLaVA, Idefics3 and SmolVLM, Qwen2-VL to Qwen3-VL, Gemma 3, Mistral 3,
PaliGemma, InternVL and Aya Vision in transformers, on disk and in memory. The language part merges;
the tower and the projector stay those of one founder (arXiv 2403.13187, section 4.2).
"""

import re
from collections.abc import Mapping
from typing import Any

from population.families.family import ModelFamily, NetworkPart

LANGUAGE_PART = "text_decoder"


def _sees(config: Mapping[str, Any]) -> bool:
    classes = config.get("architectures") or ()
    return isinstance(config.get("vision_config"), Mapping) and any(
        str(name).endswith("ForConditionalGeneration") for name in classes
    )


VISION_LANGUAGE = ModelFamily(
    name="vision-language model",
    fits=_sees,
    loader="AutoModelForImageTextToText",
    asks=frozenset({"loglikelihood", "generate", "see"}),
    parts=(
        NetworkPart(
            "multi_modal_projector",
            r"^(model\.)?(multi_modal_projector|connector|visual\.(merger|deepstack_merger_list)|"
            r"qformer|image_newline|mm_projector)\b",
        ),
        NetworkPart(
            "vision_tower",
            r"^(model\.)?(vision_tower|vision_model|visual|vision_embed_tokens)\b",
            ("vision_model",),
        ),
        NetworkPart(LANGUAGE_PART, "", ("language_model",)),
    ),
    merged=LANGUAGE_PART,
)

_WITHIN = re.compile(r"^(model\.)?(language_model|text_model)\.(model\.)?")


def name_in_language_model(tensor: str) -> str:
    """What a tensor of the language part is called in a language model of its own.

    >>> name_in_language_model("language_model.model.layers.0.mlp.up_proj.weight")
    'model.layers.0.mlp.up_proj.weight'
    >>> name_in_language_model("model.text_model.norm.weight")
    'model.norm.weight'
    >>> name_in_language_model("language_model.lm_head.weight")
    'lm_head.weight'
    """
    inside = _WITHIN.sub("", tensor)
    if inside == tensor or inside.startswith("lm_head"):
        return inside
    return f"model.{inside}"
