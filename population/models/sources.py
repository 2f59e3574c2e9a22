"""Opening what a reference to a model names.

- a folder with config.json and safetensors, or one safetensors file (merged by tensor names);
- "base+adapter": a checkpoint with a PEFT LoRA adapter applied, in fp32 and only when it is read;
- "vlm+language": a vision-language model with another model as its language part, see `grafts`;
- a GGUF file, which transformers turns into a checkpoint once, kept in the user's cache;
- a hub id ("org/name" or "org/name@revision"), if nothing of that name is on disk. Only
  safetensors, settings, the tokenizer and the card, which states the licence, are fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from population.errors import CheckpointError
from population.models.adapters import apply_adapter
from population.models.checkpoints import Checkpoint
from population.models.gguf_conversion import convert_gguf
from population.models.grafts import GraftedCheckpoint, graft
from population.models.opening import open_checkpoint, open_tensors
from population.models.tokenizer_files import TOKENIZER_FILES
from population.references import expand_user, split_adapter
from population.threads import use_one_blas_thread

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
HUB_FILES = ("*.safetensors", "*.json", *TOKENIZER_FILES, "README.md")


def open_source(
    reference: str, name: str | None = None, say: Callable[[str], None] = lambda _: None
) -> Checkpoint:
    """Open the model that a reference names.

    Args:
        reference: see the module's docstring.
        name: what to call it; by default the last part of its path.
        say: called with a line before what takes long, and with notes on the model.

    Raises:
        CheckpointError: it is missing or unusable; gives the reason and the remedy.
    """
    use_one_blas_thread()
    checkpoint = _open(reference, name, say)
    for note in checkpoint.notes:
        say(f"note: {note}")
    return checkpoint


def _open(
    reference: str, name: str | None, say: Callable[[str], None], *, base: bool = False
) -> Checkpoint:
    """Open what a reference names; as a `base`, without the adapter that may lie in its folder."""
    reference = expand_user(reference)
    if (first_and_more := split_adapter(reference)) is not None:
        return _open_joined(*first_and_more, name, say)
    path = Path(reference)
    if path.is_file() and path.suffix == ".gguf":
        return open_checkpoint(convert_gguf(path, cache_folder() / "gguf", say), name or path.stem)
    if path.is_file():
        return open_tensors(path, name)
    if not path.exists() and _HUB_ID.fullmatch(reference):
        fetched_folder = _fetch(reference, say)
        if not base:
            _check_no_adapter(fetched_folder, reference)
        return open_checkpoint(fetched_folder, name or reference.rsplit("/", maxsplit=1)[-1])
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise CheckpointError(
            f"{reference} is a LoRA adapter; write BASE+{reference}, with the model that it was "
            "trained on as BASE"
        )
    if not base:
        _check_no_adapter(path, reference)
    return open_checkpoint(path, name)


def _open_joined(first: str, more: str, name: str | None, say: Callable[[str], None]) -> Checkpoint:
    """A model with an adapter, or with another model as its language part."""
    path = Path(expand_user(more))
    folder = path if path.is_dir() else _fetch(str(path), say)
    name, opened = name or folder.name, _open(first, None, say, base=True)
    if not (folder / "adapter_config.json").is_file() and (folder / "config.json").is_file():
        return graft(opened, open_checkpoint(folder, name))
    if isinstance(opened, GraftedCheckpoint):
        return graft(opened.frame, apply_adapter(opened.part, folder, name))
    return apply_adapter(opened, folder, name)


def _check_no_adapter(folder: Path, reference: str) -> None:
    """Make sure that a model's folder holds no adapter, which transformers would apply to it."""
    weight_files = ("adapter_model.safetensors", "adapter_model.bin")
    if (folder / "adapter_config.json").is_file() and any(
        (folder / w).is_file() for w in weight_files
    ):
        raise CheckpointError(
            f"{reference} holds a model and an adapter (adapter_config.json), and transformers "
            f"would apply it; write {reference}+{reference} for both, or move the adapter's files "
            "away for the model alone"
        )


def _fetch(reference: str, say: Callable[[str], None]) -> Path:
    import huggingface_hub  # noqa: PLC0415 - slow to import, rarely needed

    if not _HUB_ID.fullmatch(reference):
        raise CheckpointError(f"no model at {reference}")
    repository, _, revision = reference.partition("@")
    say(f"fetching {reference}")
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision or None, allow_patterns=list(HUB_FILES)
            )
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{reference}: nothing of that name on disk, and the hub does not give it: {reason}"
        ) from None


def cache_folder() -> Path:
    """The folder for what can be made again: `$XDG_CACHE_HOME/colony` or `~/.cache/colony`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "colony"
