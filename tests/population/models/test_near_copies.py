"""Founders that are nearly another one are pointed out before a campaign starts."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from population.campaign.opening_context import open_context
from population.config import load_config
from population.models.near_copies import near_copies
from population.models.opening import open_checkpoint
from tests.conftest import small_toml
from tests.merge_helpers import write_llama


def moved(folder: Path, by: float, only: str = "", rows: slice = slice(None)) -> Path:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for name in tensors:
        if only in name:
            tensors[name][rows] *= np.float32(1 + by)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("by", "only", "rows", "said"),
    [
        (0.0, "", slice(None), "has the weights of"),
        (2e-7, "", slice(None), "differs by"),
        (1e-3, "", slice(None), None),
        (0.5, "layers.2.self_attn.v_proj", slice(None), None),  # as a small adapter
        (0.5, "embed_tokens", slice(7, 8), None),  # as trained on one token
    ],
)
def test_what_is_a_near_copy(
    by: float, only: str, rows: slice, said: str | None, tmp_path: Path
) -> None:
    base, other = write_llama(tmp_path / "base"), write_llama(tmp_path / "other")
    moved(other, by, only, rows)
    third = write_llama(tmp_path / "third", seed=1)
    founders = [open_checkpoint(folder) for folder in (other, third, base)]
    for number in (2, None):
        found = near_copies(founders, number)
        if said is None:
            assert found == []
            continue
        assert len(found) == 1
        names = "'other' X the base 'base'" if number else "'base' X 'other'"
        one, two = names.split("X")
        assert found[0].startswith(f"founder {one}{said}"), found
        assert two in found[0]


def test_it_is_said_when_a_context_is_opened(tmp_path: Path, tasks_folder: Path) -> None:
    folders = [write_llama(tmp_path / "base"), write_llama(tmp_path / "copy")]
    path = tmp_path / "my.toml"
    founders = {"paths": [str(folder) for folder in folders], "base": "base"}
    path.write_text(small_toml(tasks_folder, founders=founders))
    said: list[str] = []
    open_context(load_config(path), say=said.append)
    assert said == [
        line for line in said if line.startswith("note: founder 'copy' has the weights")
    ]
    assert len(said) == 1
