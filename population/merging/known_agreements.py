"""What transformers found no fault in, remembered by content.

To ask it takes longer than most merges, and merges of the same sources have the same config,
tokenizer, and names and shapes of tensors. What it did find fault in is asked about again.
"""

import hashlib
import json
from pathlib import Path

from population.merging import library_check
from population.merging.library_check import Shapes
from population.models.cache_entries import keep, version_of
from population.models.sources import cache_folder

ASKED = ("model-colony", "transformers", "tokenizers", "torch", "accelerate")
"""Packages whose versions an answer depends on."""


def agreement_of(folder: Path, shapes: Shapes) -> Path:
    """The cache's entry for a checkpoint folder; it exists if no fault was found.

    Args:
        folder: what was written, without weights.
        shapes: of the tensors that it will have, by name.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [
        [str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in files
    ]
    asked = [version_of(package) for package in ASKED]
    how = hashlib.sha256(Path(library_check.__file__).read_bytes()).hexdigest()
    tensors = [(name, list(shape)) for name, shape in sorted(shapes.items())]
    key = hashlib.sha256(json.dumps([asked, how, content, tensors]).encode()).hexdigest()
    return cache_folder() / "agreements" / key


def remember(entry: Path) -> None:
    """Remember that no fault was found."""
    keep(entry, "no fault")
