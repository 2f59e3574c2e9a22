"""LoRA adapters as founders: a colony breeds from them, their merged weights are never written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from population.analysis.export import export
from population.analysis.verification import check
from population.campaign.opening_context import open_context, reopen_context
from population.config import load_config, shipped_data
from population.models.blocks import Granularity, layout_of
from population.models.opening import open_checkpoint
from population.models.sources import open_source
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser
from tests.conftest import campaign, small_toml

BASE = shipped_data() / "founders" / "base"


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters on the shipped base, untrained but for their random factors."""
    folder = tmp_path_factory.mktemp("adapters")
    for number in range(2):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"])
        wrapped = get_peft_model(model, config)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        wrapped.save_pretrained(folder / f"skill-{number}")
    return folder


@pytest.mark.slow
def test_a_campaign_of_adapters(adapters: Path, tasks_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "lora.toml"
    paths = [str(BASE), f"{BASE}+{adapters}/*"]
    config.write_text(
        small_toml(
            tasks_folder,
            founders={"paths": paths, "base": "base"},
            budget={"generations": 1},
        )
    )
    settings = load_config(config)
    assert [f.name for f in open_context(settings).founders] == ["base", "skill-0", "skill-1"]
    archive = campaign(settings, tmp_path / "lora.duckdb", generations=1)
    assert check(archive).damages == ()
    newest = archive.models()[-1]
    made = export(archive, reopen_context(archive), newest, tmp_path / "champion")
    assert made.weights_sha256 == archive.models()[-1].weights_sha256 is not None
    assert open_checkpoint(tmp_path / "champion").sha256() == made.weights_sha256


def test_an_adapters_weights_do_not_depend_on_how_they_are_read(adapters: Path) -> None:
    founder = open_source(f"{BASE}+{adapters / 'skill-1'}")
    name = "model.layers.1.mlp.down_proj.weight"
    whole = founder.wide(name)
    for step in (1, 7, 100, 255, 256, 300):
        parts = [founder.wide(name, at, at + step) for at in range(0, len(whole), step)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_an_adapter_as_founder_is_what_peft_merges(adapters: Path) -> None:
    ours = open_source(f"{BASE}+{adapters / 'skill-0'}")
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(model, adapters / "skill-0").merge_and_unload()
    for name, tensor in theirs.state_dict().items():
        if name in ours.tensors:
            np.testing.assert_allclose(ours.wide(name), tensor.numpy(), atol=1e-6)


@pytest.mark.parametrize("cut", ["slice", "group"])
def test_factors_make_the_weights_and_gradients_of_their_products(
    adapters: Path, cut: Granularity
) -> None:
    """Blocks of rows, and of columns; beside adapters the base itself may be a founder again."""
    references = [str(BASE), *(f"{BASE}+{adapters / f'skill-{n}'}" for n in range(2)), str(BASE)]
    founders = [open_source(reference) for reference in references]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, founders[0].config, cut, 4)
    basis = Basis(("base", "one", "two", "again"), 0)
    whole, factored = (
        Materialiser(founders, basis, layout, rounded=False, factored=factored)
        for factored in (False, True)
    )
    draw = np.random.default_rng(1)
    genome = draw.normal(0.3, 0.5, (3, len(layout.blocks)))
    expected, found = whole.one(genome), factored.one(genome, {})
    changed = 0
    for name, tensor in expected.items():
        assert (found[name] - tensor).abs().max() <= 1e-6 * tensor.abs().max()
        slope = torch.from_numpy(draw.normal(size=tensor.shape).astype(np.float32))
        ours, theirs = np.zeros_like(genome), np.zeros_like(genome)
        factored.add_gradient(genome, name, slope, ours)
        whole.add_gradient(genome, name, slope, theirs)
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(np.abs(theirs).max(), 1e-6))
        changed += bool(theirs.any())
    assert changed == sum("q_proj" in name or "down_proj" in name for name in expected)
