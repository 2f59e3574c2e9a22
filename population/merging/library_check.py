"""Checking a checkpoint folder with transformers: do its files agree with each other.

Runs in a process of its own while weights are written, since importing transformers and torch takes
longer than most merges; in this one where they are loaded anyway. No weight is read: the model is
made of names and shapes alone (torch's meta device).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from population.json_files import read_optional_object
from population.models.config_comparison import transformers_verbosity

Shapes = Mapping[str, Sequence[int]]
MAX_LISTED = 3


def find_faults(folder: Path, shapes: Shapes) -> dict[str, str] | None:
    """The faults of a checkpoint folder: a message for each, by a key that identifies it.

    Args:
        folder: with config.json, and perhaps a generation config and a tokenizer.
        shapes: of the tensors in its weights, by name.

    Returns:
        None for an architecture that this version of transformers does not know.
    """
    with _silent():
        from transformers import AutoConfig  # noqa: PLC0415

        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # noqa: BLE001 - a config may break its class anywhere
            if _unknown(folder):
                return None
            return {"config": f"config.json: transformers cannot read it: {_line(error)}"}
        faults = dict(_token_faults(folder, config, shapes))
        return faults | dict(_model_faults(config, shapes))


def compare_faults(
    folder: Path,
    shapes: Shapes,
    source: Path,
    source_shapes: Shapes,
    others: Sequence[tuple[Path, Shapes]] = (),
) -> tuple[list[str], list[str]]:
    """The faults of a result, without and with those that its sources have already.

    Args:
        folder: the result.
        shapes: of its tensors.
        source: the folder that gave the config.
        source_shapes: of that one's tensors.
        others: further sources, and the shapes of their tensors; a tensor in excess in one of them
            may be in excess in the result.

    Returns:
        Messages about new faults, and about faults that the sources share.
    """
    faults = find_faults(folder, shapes)
    if not faults:
        return [], []
    source_faults = find_faults(source, source_shapes)
    if source_faults is None:
        return [], []
    known_faults = set(source_faults)
    for other, other_shapes in others:
        if faults.keys() <= known_faults:
            break
        known_faults |= _unexpected_tensors(other, other_shapes)
    new = [text for fault, text in faults.items() if fault not in known_faults]
    old = [text for fault, text in faults.items() if fault in known_faults]
    return new, old


def _unexpected_tensors(source: Path, shapes: Shapes) -> set[str]:
    """The faults that are tensors of a source which its own config does not ask for.

    Any tensor, if transformers cannot read the config.
    """
    faults = find_faults(source, shapes)
    if faults is None or "config" in faults or "model" in faults:
        return {f"unexpected {name}" for name in shapes}
    return {fault for fault in faults if fault.startswith("unexpected ")}


def _unknown(folder: Path) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: PLC0415

    config = read_optional_object(folder / "config.json")
    return config is not None and config.get("model_type") not in CONFIG_MAPPING


def _token_faults(folder: Path, config: Any, shapes: Shapes) -> Iterator[tuple[str, str]]:
    from transformers import AutoTokenizer, GenerationConfig  # noqa: PLC0415

    text = getattr(config, "get_text_config", lambda: config)()
    stated_by: list[tuple[str, Any]] = [("config.json", _StatedIds(folder / "config.json"))]
    if (folder / "generation_config.json").is_file():
        try:
            generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
            stated_by.append(("generation_config.json", generation))
        except Exception as error:  # noqa: BLE001
            yield (
                "generation",
                f"generation_config.json: transformers cannot read it: {_line(error)}",
            )
    names = (
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
        "tokenizer.model",
    )
    if not any((folder / name).is_file() for name in names):
        return
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        vocabulary = tokenizer.get_vocab()
    except Exception as error:  # noqa: BLE001
        yield "tokenizer", f"the tokenizer's files: transformers cannot read them: {_line(error)}"
        return
    for file, source in stated_by:
        for role in ("bos", "eos", "pad"):
            actual, stated_ids = (getattr(x, f"{role}_token_id", None) for x in (tokenizer, source))
            stated_ids = stated_ids if isinstance(stated_ids, list) else [stated_ids]
            if actual is not None and stated_ids != [None] and actual not in stated_ids:
                yield (
                    f"{role} {file}",
                    f"{file} says {role}_token_id {stated_ids[0]}, but the {role} token of "
                    f"tokenizer_config.json has the id {actual}",
                )
    rows = getattr(text, "vocab_size", None)
    last = max(vocabulary.values(), default=-1)
    if isinstance(rows, int) and last >= rows:
        token = next(token for token, row in vocabulary.items() if row == last)
        yield (
            "more tokens than rows",
            f"tokenizer.json gives {token!r} the id {last}, but config.json says vocab_size {rows}",
        )


class _StatedIds:
    """The token ids that a config states, without the defaults of its class."""

    def __init__(self, file: Path) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        for part in (content.get("text_config"), content):
            if isinstance(part, dict):
                self.__dict__.update({k: v for k, v in part.items() if k.endswith("_token_id")})


def _model_faults(config: Any, shapes: Shapes) -> Iterator[tuple[str, str]]:
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    model_class = getattr(transformers, next(iter(config.architectures or ()), ""), None)
    if model_class is None or not hasattr(model_class, "from_pretrained"):
        return
    state = {name: torch.empty(list(shape), device="meta") for name, shape in shapes.items()}
    try:
        _, loading_info = model_class.from_pretrained(
            None,
            config=config,
            state_dict=state,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (ImportError, NotImplementedError):  # without accelerate there is no such device
        return
    except Exception as error:  # noqa: BLE001
        if "accelerate" in str(error):
            return
        yield "model", f"config.json: transformers makes no model of it: {_line(error)}"
        return
    faults = {
        "missing": "model.safetensors lacks {}, which config.json asks for",
        "unexpected": "model.safetensors has {}, which config.json does not ask for",
    }
    for fault, message in faults.items():
        for name in sorted(loading_info.get(f"{fault}_keys", ())):
            yield f"{fault} {name}", message.format(name)
    for name, stored, expected in sorted(loading_info.get("mismatched_keys", ()), key=str):
        yield (
            f"mismatched {name}",
            f"model.safetensors has {name} of shape {list(stored)}, config.json asks for "
            f"{list(expected)}",
        )


def _line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the output of transformers."""
    import warnings  # noqa: PLC0415

    from transformers.utils import logging as library_logging  # noqa: PLC0415

    bars_enabled = library_logging.is_progress_bar_enabled()
    library_logging.disable_progress_bar()
    try:
        with transformers_verbosity(logging.CRITICAL + 1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars_enabled:
            library_logging.enable_progress_bar()


def serve() -> None:
    """Import transformers, wait for a request on standard input, and write the answer as JSON."""
    import transformers  # noqa: PLC0415

    for name in ("AutoConfig", "AutoTokenizer", "GenerationConfig", "AutoModelForCausalLM"):
        getattr(transformers, name)
    line = sys.stdin.readline()
    if not line:
        return
    request = json.loads(line)
    answer = compare_faults(
        Path(request["folder"]),
        request["shapes"],
        Path(request["source"]),
        request["source_shapes"],
        [(Path(folder), shapes) for folder, shapes in request["others"]],
    )
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
