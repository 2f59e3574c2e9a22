"""The files beside the weights: config, generation config and tokenizer, in agreement."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from population.json_files import read_optional_object
from population.merging.engine import MergePlan
from population.merging.source_nodes import Leaf
from population.merging.special_ids import TokenIds, read_token_ids, with_ids
from population.merging.vocabulary import write_tokenizer
from population.merging.writer import copy_files
from population.models.architectures import architecture_of
from population.models.checkpoints import Checkpoint
from population.models.opening import open_tensors
from population.models.tensor_files import TensorHeader
from population.models.tied_heads import has_own_head, untied_config
from population.models.tokenizer_files import TOKENIZER_FILES

CONFIG, GENERATION = "config.json", "generation_config.json"
COPIED = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "chat_template.json",
)
TEMPLATES = "additional_chat_templates"
MORE_TOKENIZER_FILES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model.v3",
                        "tekken.json", "vocab.bpe", "encoder.json")  # fmt: skip


def write_companions(planned: MergePlan, draft: Path, template: str | None) -> list[str]:
    """Write the files beside the weights of a plan.

    Args:
        planned: what is merged; nothing is written for a model without a config.
        draft: the folder to write to; exists.
        template: the chat template, if one was chosen.

    Returns:
        Corrections that the user should know of, a line each.
    """
    config = dict(planned.result.config)
    if not config:
        return []
    reference, donor = planned.reference, tokenizer_of(planned)
    _write_tokens(planned, donor, draft, template)
    notes: list[str] = []
    generation = read_optional_object(reference.checkpoint.path / GENERATION)
    if planned.recipe.output.tokenizer is not None or donor is not reference:
        donor_ids, own_ids = read_token_ids(draft), read_token_ids(reference.checkpoint.path)
        donor_config = None if donor is reference else dict(donor.checkpoint.config)
        config = with_ids(config, own_ids, donor_ids, donor_config)
        generation = _generation_config(
            generation, own_ids, donor_ids, None if donor is reference else donor
        )
    config = _with_vocab_size(config, planned, notes)
    config = _with_written_dtype(config, planned)
    config.pop("_name_or_path", None)
    _write(draft / CONFIG, config)
    if generation is not None:
        _write(draft / GENERATION, generation)
    copy_files(reference.checkpoint.path, draft, COPIED)
    return notes


def tokenizer_of(planned: MergePlan) -> Leaf:
    """The source whose tokenizer is taken, or extended."""
    if planned.vocabularies is not None:
        return planned.vocabularies.leaves[planned.vocabularies.alignment.chosen]
    choice = planned.recipe.output.tokenizer
    return planned.reference if choice is None else (
        planned.leaves.get(choice.source, planned.reference)
    )  # fmt: skip


def _write_tokens(planned: MergePlan, donor: Leaf, draft: Path, template: str | None) -> None:
    if planned.vocabularies is not None:
        write_tokenizer(planned.vocabularies.alignment, planned.vocabularies.tokenizers, draft)
    else:
        source = donor.checkpoint.path
        copy_files(source, draft, (*TOKENIZER_FILES, *MORE_TOKENIZER_FILES))
        if (source / TEMPLATES).is_dir():
            shutil.copytree(source / TEMPLATES, draft / TEMPLATES, dirs_exist_ok=True)
    settings = read_optional_object(draft / "tokenizer_config.json") or {}
    plain = {key: value for key, value in settings.items() if key != "auto_map"}  # no code comes
    if template is not None:
        (draft / "chat_template.jinja").write_text(template, encoding="utf-8")
        plain.pop("chat_template", None)  # there would be two
    if plain != settings:
        _write(draft / "tokenizer_config.json", plain)


def _generation_config(
    settings: dict[str, Any] | None, own: TokenIds, taken: TokenIds, donor: Leaf | None
) -> dict[str, Any] | None:
    donor_settings = (
        None if donor is None else read_optional_object(donor.checkpoint.path / GENERATION)
    )
    if settings is None and donor_settings is None:
        return None
    if donor is not None and donor_settings is None:  # its config says when its texts end
        donor_settings = dict(donor.checkpoint.config)
        donor_settings = {
            key: value for key, value in donor_settings.items() if key in (settings or {})
        }
    return with_ids(settings or {}, own, taken, donor_settings)


def _with_vocab_size(
    config: dict[str, Any], planned: MergePlan, notes: list[str]
) -> dict[str, Any]:
    """The config with vocab_size equal to the rows of the embeddings."""
    architecture = architecture_of(config)
    if architecture is None:
        return config
    rows = next(
        (
            spec.shape[0]
            for name, spec in planned.tensors.items()
            if name.endswith(architecture.embedding) and len(spec.shape) == 2
        ),
        None,
    )
    text = config.get("text_config")
    section = text if isinstance(text, Mapping) and "vocab_size" in text else config
    stated = section.get("vocab_size")
    if rows is None or stated is None or stated == rows:
        return config
    notes.append(
        f"{planned.reference.name!r} says vocab_size {stated}, its embeddings have {rows} rows; "
        f"the result says {rows}"
    )
    if section is config:
        return config | {"vocab_size": rows}
    return config | {"text_config": {**section, "vocab_size": rows}}


def _with_written_dtype(config: dict[str, Any], planned: MergePlan) -> dict[str, Any]:
    """The config with the dtype that is written, in whichever spelling it has, or in both."""
    sizes: dict[str, int] = {}
    for name, spec in planned.tensors.items():
        if name not in planned.result.copied:
            sizes[spec.dtype.name] = sizes.get(spec.dtype.name, 0) + spec.size
    if not sizes:
        return config
    main_dtype = max(sizes, key=lambda name: sizes[name])
    if "torch_dtype" not in config:
        config = config | {"dtype": main_dtype}
    return _with_dtype(config, main_dtype)


def _with_dtype(part: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    result = {
        key: _with_dtype(value, dtype)
        if isinstance(value, Mapping) and key.endswith("_config")
        else value
        for key, value in part.items()
    }
    return result | {key: dtype for key in ("dtype", "torch_dtype") if key in part}


def update_tie_flag(draft: Path) -> None:
    """Set tie_word_embeddings to false if the head that was written is not the embeddings.

    A head that is stored and differs is a head of its own to transformers, whatever a config says.

    Args:
        draft: the folder of the result.
    """
    config = read_optional_object(draft / CONFIG) or {}
    text = config.get("text_config")
    parts = [config, text] if isinstance(text, Mapping) else [config]
    if not any(part.get("tie_word_embeddings") for part in parts):
        return
    tensors: dict[str, TensorHeader] = {}
    for file in sorted(draft.glob("*.safetensors")):
        tensors |= open_tensors(file).tensors
    if has_own_head(Checkpoint(draft.name, draft, config, tensors)):
        _write(draft / CONFIG, untied_config(config))


def _write(file: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8", errors="surrogatepass")
