"""What transformers makes of a checkpoint folder: whether its files agree with each other.

Run in a process of its own while weights are written, since importing transformers and torch takes
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

from population.models.config_comparison import transformers_verbosity

Shapes = Mapping[str, Sequence[int]]
MAX_LISTED = 3


def find_faults(folder: Path, shapes: Shapes) -> dict[str, str] | None:
    """What does not fit in a checkpoint folder: a message for each fault, by what tells it.

    Args:
        folder: with config.json, and perhaps a generation config and a tokenizer.
        shapes: of the tensors that its weights have.

    Returns:
        None for a model that this version of transformers does not know.
    """
    with _silent():
        from transformers import AutoConfig  # noqa: PLC0415

        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # noqa: BLE001 - a config may break its class anywhere
            if _unknown(folder):
                return None
            return {"config": f"config.json: transformers cannot read it: {_line(error)}"}
        found = dict(_token_faults(folder, config, shapes))
        return found | dict(_model_faults(config, shapes))


def compare_faults(
    folder: Path,
    shapes: Shapes,
    source: Path,
    source_shapes: Shapes,
    others: Sequence[tuple[Path, Shapes]] = (),
) -> tuple[list[str], list[str]]:
    """The faults of what was written, and those that its sources have already.

    Args:
        folder: what was written.
        shapes: of its tensors.
        source: the folder that gave the config.
        source_shapes: of that one's tensors.
        others: further sources, and the shapes of their tensors; what is too much in one of them
            may be too much in the result.
    """
    found = find_faults(folder, shapes)
    if not found:
        return [], []
    before = find_faults(source, source_shapes)
    if before is None:
        return [], []
    known = set(before)
    for other, other_shapes in others:
        if found.keys() <= known:
            break
        known |= _unexpected_tensors(other, other_shapes)
    ours = [text for fault, text in found.items() if fault not in known]
    theirs = [text for fault, text in found.items() if fault in known]
    return ours, theirs


def _unexpected_tensors(source: Path, shapes: Shapes) -> set[str]:
    """The faults that are tensors of a source for which its own config does not ask.

    Where that cannot be told, for want of a config that transformers reads, that is any tensor.
    """
    told = find_faults(source, shapes)
    if told is None or "config" in told or "model" in told:
        return {f"unexpected {name}" for name in shapes}
    return {fault for fault in told if fault.startswith("unexpected ")}


def _unknown(folder: Path) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: PLC0415

    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return content.get("model_type") not in CONFIG_MAPPING
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _token_faults(folder: Path, config: Any, shapes: Shapes) -> Iterator[tuple[str, str]]:
    from transformers import AutoTokenizer, GenerationConfig  # noqa: PLC0415

    text = getattr(config, "get_text_config", lambda: config)()
    says: list[tuple[str, Any]] = [("config.json", _StatedIds(folder / "config.json"))]
    if (folder / "generation_config.json").is_file():
        try:
            told = GenerationConfig.from_pretrained(folder, local_files_only=True)
            says.append(("generation_config.json", told))
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
    for file, said in says:
        for role in ("bos", "eos", "pad"):
            number, stated = (getattr(x, f"{role}_token_id", None) for x in (tokenizer, said))
            stated = stated if isinstance(stated, list) else [stated]
            if number is not None and stated != [None] and number not in stated:
                yield (
                    f"{role} {file}",
                    f"{file} says {role}_token_id {stated[0]}, but the {role} token of "
                    f"tokenizer_config.json has the id {number}",
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
    """The ids that a config states; what it leaves out is a default of its class, and no claim."""

    def __init__(self, file: Path) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        for part in (content.get("text_config"), content):
            if isinstance(part, dict):
                self.__dict__.update({k: v for k, v in part.items() if k.endswith("_token_id")})


def _model_faults(config: Any, shapes: Shapes) -> Iterator[tuple[str, str]]:
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    kind = getattr(transformers, next(iter(config.architectures or ()), ""), None)
    if kind is None or not hasattr(kind, "from_pretrained"):
        return
    state = {name: torch.empty(list(shape), device="meta") for name, shape in shapes.items()}
    try:
        _, told = kind.from_pretrained(
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
        for name in sorted(told.get(f"{fault}_keys", ())):
            yield f"{fault} {name}", message.format(name)
    for name, stored, wanted in sorted(told.get("mismatched_keys", ()), key=str):
        yield (
            f"mismatched {name}",
            f"model.safetensors has {name} of shape {list(stored)}, config.json asks for "
            f"{list(wanted)}",
        )


def _line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what transformers says to itself."""
    import warnings  # noqa: PLC0415

    from transformers.utils import logging as theirs  # noqa: PLC0415

    bars = theirs.is_progress_bar_enabled()
    theirs.disable_progress_bar()
    try:
        with transformers_verbosity(logging.CRITICAL + 1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars:
            theirs.enable_progress_bar()


def serve() -> None:
    """Import what is needed, wait for a line that says what to look at, and answer with a line."""
    import transformers  # noqa: PLC0415

    for name in ("AutoConfig", "AutoTokenizer", "GenerationConfig", "AutoModelForCausalLM"):
        getattr(transformers, name)
    line = sys.stdin.readline()
    if not line:
        return
    asked = json.loads(line)
    answer = compare_faults(
        Path(asked["folder"]),
        asked["shapes"],
        Path(asked["source"]),
        asked["source_shapes"],
        [(Path(folder), shapes) for folder, shapes in asked["others"]],
    )
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
