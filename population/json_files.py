"""Reading JSON files of models, with one-line errors for files that cannot be used.

They are read as transformers reads them: UTF-8 without a byte-order mark; of two equal keys the
last one counts.
"""

import json
from pathlib import Path
from typing import Any

from population.errors import CheckpointError


def read_object(file: Path, owner: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        file: its path.
        owner: what the message begins with, such as the model's name.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it cannot be read, or does not hold a JSON object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        # What JSON can escape but nobody can print or write.
        json.dumps(content, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise
    except RecursionError:
        raise CheckpointError(f"{owner}: {file} is nested too deep") from None
    except UnicodeEncodeError:
        raise CheckpointError(
            f"{owner}: {file} holds half of a character (a lone surrogate, \\ud800 to \\udfff)"
        ) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        if "BOM" in reason:
            reason = "it begins with a byte-order mark; save it as UTF-8 without one"
        raise CheckpointError(f"{owner}: {file} cannot be read: {reason}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{owner}: {file} is no JSON object")
    return content


def read_optional_object(file: Path) -> dict[str, Any] | None:
    """Read a file that a model may lack: None if it is missing or holds no JSON object.

    A lone surrogate is no obstacle here: what is read is only looked at, or written as it was.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
