"""Export: a model of the archive as a plain transformers checkpoint."""

import json
import shutil
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict

from lineage import Archive
from lineage.records import Model
from population.checkpoints import TOKENIZER_FILES, weights_sha256
from population.errors import CampaignError, PopulationError
from population.recipes import recipe_json
from population.report import genome_of
from population.workshop import Workshop

COMPANIONS = ("config.json", "generation_config.json", *TOKENIZER_FILES)


def export(archive: Archive, workshop: Workshop, model: Model, folder: Path) -> None:
    """Write a model with its tokenizer, its recipe and a model card.

    The folder appears complete or not at all.

    Args:
        archive: where the model is.
        workshop: what it is made of.
        model: founder or offspring, living or fossil.
        folder: where to; must not exist, or be empty.

    Raises:
        PopulationError: the folder is in use or cannot be written.
        CampaignError: the remade weights are not those that were born.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PopulationError(f"{folder} exists already; choose another folder or remove it")
    genome = genome_of(archive, workshop, model)
    founder = workshop.founders[0]
    if model.kind == "founder":
        founder = next(f for f in workshop.founders if f.name == model.name)
        state = {name: founder.tensor(name) for name in founder.tensors}
    else:
        state = workshop.materialiser.one(genome)
    sha = weights_sha256((name, state[name]) for name in sorted(state))
    if sha != model.weights_sha256:
        raise CampaignError(
            f"{model.label} was born with weights {model.weights_sha256[:12]}, its recipe now "
            f"makes {sha[:12]}; `colony check` tells what has changed"
        )
    recipe = recipe_json(
        workshop.basis,
        [block.name for block in workshop.layout.blocks],
        genome,
        {m.name: m.weights_sha256 for m in archive.models(ids=archive.founder_paths()) if m.name},
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            draft = Path(scratch) / "model"
            draft.mkdir()
            _write(draft, founder.path, state)
            (draft / "recipe.json").write_text(
                json.dumps({"model": model.label, "weights_sha256": sha, **recipe}, indent=1),
                encoding="utf-8",
            )
            (draft / "README.md").write_text(_card(model, recipe), encoding="utf-8")
            if folder.exists():
                folder.rmdir()
            draft.rename(folder)
    except OSError as error:
        raise PopulationError(f"cannot write {folder}: {error}") from None


def _write(folder: Path, source: Path, state: dict[str, torch.Tensor]) -> None:
    save_torch_state_dict(state, folder, metadata={"format": "pt"})
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _card(model: Model, recipe: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {founder['name']} | {mean(founder['weight_per_block']):+.3f} "
        f"| `{founder['weights_sha256'][:16]}` |"
        for founder in recipe["founders"]
    )
    return f"""---
library_name: transformers
tags:
- merge
- model-colony
base_model_relation: merge
---

# {model.label}

Bred by [model-colony](https://pypi.org/project/model-colony/): {model.operator}, generation
{model.generation}. It is a weighted sum of its founders, block by block; `recipe.json` beside
this file holds every weight and remakes the model bit by bit.

| founder | mean weight over blocks | weights |
|---|---|---|
{rows}

SHA-256 of the weights: `{model.weights_sha256}`
"""
