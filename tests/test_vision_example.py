"""The scripts of data/examples/vision in small: founders, tasks, a campaign, its champion."""

import random
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from population import Campaign, load_config

EXAMPLE = Path(__file__).parents[1] / "data" / "examples" / "vision"

TINY: dict[str, Any] = {
    "search": {"population": 4, "brood": 2, "items": 6, "panel": 12, "blocks": "half"},
    "gradient": {"steps": 2, "items": 4},
    "arena": {"items": 6, "judges": 1},
    "budget": {"generations": 1},
    "run": {"threads": 1},
}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the example, which import each other as scripts in one folder do."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = ("scenes", "make_tasks", "make_founders")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)  # another example has such a name
    return {name: __import__(name) for name in names}


def test_pictures_are_what_models_see(scripts: dict[str, ModuleType]) -> None:
    """Training takes a short way to the pixels that the processor gives a model."""
    make, scenes = scripts["make_founders"], scripts["scenes"]
    shown = [scenes.scene(random.Random(seed)) for seed in range(3)]
    pixels = make.pixel_values(shown, seed=5)
    processor = make.new_processor()
    for number, one in enumerate(shown):
        picture = scenes.picture(one, 5 + number)
        seen = processor(text=["<image>"], images=[picture], return_tensors="pt")
        assert seen["input_ids"].shape[1] == make.PATCHES
        torch.testing.assert_close(seen["pixel_values"][0], pixels[number], atol=1e-5, rtol=0)


def test_no_digit_of_selection_or_test_was_taught(scripts: dict[str, ModuleType]) -> None:
    tasks, scenes = scripts["make_tasks"], scripts["scenes"]
    for split in ("selection", "test"):
        written = {one.written for one in tasks._scenes(split, 50)}
        assert min(written) >= scenes.TRAINED_DIGITS
    assert max(one.written for one in tasks._scenes("search", 50)) < scenes.TRAINED_DIGITS


@pytest.mark.slow
def test_the_walk_through_in_small(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    make = scripts["make_founders"]
    for name in make.COURSES:
        make.make(name, tmp_path / "models", steps=1)
    scripts["make_tasks"].write(tmp_path / "tasks", part=0.06)
    settings = tomllib.loads((EXAMPLE / "vision.toml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    campaign = Campaign.start(tmp_path / "a.duckdb", load_config({**settings, **TINY}))
    campaign.run()
    archive = campaign.archive
    paths = dict(
        zip(("base", "sees", "speaks", "adds"), archive.founder_paths().values(), strict=True)
    )
    sees = tmp_path / "models" / "sees"
    assert paths["sees"] == str(sees)
    assert paths["speaks"] == f"{sees}+{tmp_path / 'models' / 'speaks'}"
    assert "kept" in [block.name for block in archive.blocks()]
    ((shown,),) = archive.relation("SELECT details FROM items LIMIT 1").fetchall()
    assert "pictures" in shown
    champion = campaign.model("champion").state_dict()
    founder = AutoModelForImageTextToText.from_pretrained(sees).state_dict()
    same = {name for name, values in founder.items() if torch.equal(values, champion[name])}
    seeing = {name for name in founder if "language_model" not in name and "lm_head" not in name}
    assert seeing <= same
    assert len(same) < len(founder)
    assert np.isfinite([float(values.norm()) for values in champion.values()]).all()
