"""What lies beside the weights: config, generation config, tokenizer; and that they agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from population.merging.engine import MergePlan
from population.merging.source_nodes import Leaf
from population.merging.special_ids import TokenIds, read_token_ids, with_ids
from population.merging.vocabulary import write_tokenizer
from population.merging.writer import copy_files
from population.models.architectures import architecture_of
from population.models.checkpoints import TOKENIZER_FILES, Checkpoint, TensorHeader, open_tensors
from population.models.tied_heads import has_own_head, untied_config

CONFIG, GENERATION = "config.json", "generation_config.json"
COPIED = ("preprocessor_config.json",)
TEMPLATES = "additional_chat_templates"
MORE_TOKENIZER_FILES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model.v3",
                        "tekken.json", "vocab.bpe", "encoder.json")  # fmt: skip


def write_companions(planned: MergePlan, draft: Path, template: str | None) -> list[str]:
    """Write what lies beside the weights of a plan.

    Args:
        planned: what is merged; nothing is written for a model without a config.
        draft: where to; exists.
        template: the chat template, if one was chosen.

    Returns:
        What was mended and should be known, a line each.
    """
    config = dict(planned.result.config)
    if not config:
        return []
    reference, donor = planned.reference, tokenizer_of(planned)
    _write_tokens(planned, donor, draft, template)
    notes: list[str] = []
    generation = _read(reference.checkpoint.path / GENERATION)
    if planned.recipe.output.tokenizer is not None or donor is not reference:
        taken, own = read_token_ids(draft), read_token_ids(reference.checkpoint.path)
        of_donor = None if donor is reference else dict(donor.checkpoint.config)
        config = with_ids(config, own, taken, of_donor)
        generation = _generation_config(
            generation, own, taken, None if donor is reference else donor
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
    settings = _read(draft / "tokenizer_config.json") or {}
    plain = {key: value for key, value in settings.items() if key != "auto_map"}  # no code comes
    if template is not None:
        (draft / "chat_template.jinja").write_text(template, encoding="utf-8")
        plain.pop("chat_template", None)  # there would be two
    if plain != settings:
        _write(draft / "tokenizer_config.json", plain)


def _generation_config(
    settings: dict[str, Any] | None, own: TokenIds, taken: TokenIds, donor: Leaf | None
) -> dict[str, Any] | None:
    of_donor = None if donor is None else _read(donor.checkpoint.path / GENERATION)
    if settings is None and of_donor is None:
        return None
    if donor is not None and of_donor is None:  # its config says when its texts end
        of_donor = dict(donor.checkpoint.config)
        of_donor = {key: value for key, value in of_donor.items() if key in (settings or {})}
    return with_ids(settings or {}, own, taken, of_donor)


def _with_vocab_size(
    config: dict[str, Any], planned: MergePlan, notes: list[str]
) -> dict[str, Any]:
    """The config with as many tokens as the embeddings have rows."""
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
    nested = config.get("text_config")
    part = nested if isinstance(nested, Mapping) and "vocab_size" in nested else config
    said = part.get("vocab_size")
    if rows is None or said is None or said == rows:
        return config
    notes.append(
        f"{planned.reference.name!r} says vocab_size {said}, its embeddings have {rows} rows; the "
        f"result says {rows}"
    )
    if part is config:
        return config | {"vocab_size": rows}
    return config | {"text_config": {**part, "vocab_size": rows}}


def _with_written_dtype(config: dict[str, Any], planned: MergePlan) -> dict[str, Any]:
    """The config with the dtype that is written, in whichever spelling it has, or in both."""
    sizes: dict[str, int] = {}
    for name, spec in planned.tensors.items():
        if name not in planned.result.copied:
            sizes[spec.dtype.name] = sizes.get(spec.dtype.name, 0) + spec.size
    if not sizes:
        return config
    most = max(sizes, key=lambda name: sizes[name])
    if "torch_dtype" not in config:
        config = config | {"dtype": most}
    return _with_dtype(config, most)


def _with_dtype(part: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    told = {
        key: _with_dtype(value, dtype)
        if isinstance(value, Mapping) and key.endswith("_config")
        else value
        for key, value in part.items()
    }
    return told | {key: dtype for key in ("dtype", "torch_dtype") if key in part}


def update_tie_flag(draft: Path) -> None:
    """Make a config say that the head is no longer the embeddings, if what was written is not.

    A head that is stored and differs is a head of its own to transformers, whatever a config says.
    """
    config = _read(draft / CONFIG) or {}
    nested = config.get("text_config")
    parts = [config, nested] if isinstance(nested, Mapping) else [config]
    if not any(part.get("tie_word_embeddings") for part in parts):
        return
    tensors: dict[str, TensorHeader] = {}
    for file in sorted(draft.glob("*.safetensors")):
        tensors |= open_tensors(file).tensors
    if has_own_head(Checkpoint(draft.name, draft, config, tensors)):
        _write(draft / CONFIG, untied_config(config))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _write(file: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8", errors="surrogatepass")
