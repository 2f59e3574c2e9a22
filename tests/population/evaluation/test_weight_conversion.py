"""Checkpoints as transformers saves them run in networks that name and fuse weights otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lineage.records import Floats
from population.errors import CheckpointError
from population.evaluation.backward_pass import answer_loss
from population.evaluation.networks import Networks, network_of
from population.models.blocks import layout_of
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser
from tests.population.evaluation.test_backward_pass import answers
from tests.route_models import config_of, tiny

# Rows of experts are multiples of 16 bytes, which their kernels want.
EXPERTS = {
    "num_experts_per_tok": 2,
    "hidden_size": 32,
    "intermediate_size": 16,
    "moe_intermediate_size": 16,
}
DEEPSEEK = EXPERTS | {
    "n_routed_experts": 4,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 4,
    "num_key_value_heads": 4,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt_neox": {},  # renamed, with a head of its own
    "mixtral": EXPERTS | {"num_local_experts": 4},  # w1, w3 become one tensor
    "qwen3_moe": EXPERTS | {"num_experts": 4},
    "granitemoe": EXPERTS | {"num_local_experts": 4},
    "hrm_text": {"layers_per_stack": 1},  # one tensor is cut into several
    "deepseek_v3": DEEPSEEK,  # a bias of the router that stays in fp32
}
NAMES = ("base", "one", "two")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Founders of a family, as `save_pretrained` or as their network names tensors."""
    parent = tmp_path_factory.mktemp("families")

    def make(family: str, form: str) -> Path:
        folder = parent / family / form
        if folder.exists():
            return folder
        config = config_of(family, **FAMILIES[family])
        for seed, name in enumerate(NAMES):
            model = tiny(config, seed)
            if form == "stored":
                model.save_pretrained(folder / name)
            else:
                config.save_pretrained(folder / name)
                save_file(model.state_dict(), folder / name / "model.safetensors")
        return folder

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_a_founder_answers_as_transformers_loads_it(
    saved: Callable[[str, str], Path], family: str
) -> None:
    folder = saved(family, "stored") / "one"
    tokens = torch.randint(3, 31, (2, 9), generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.bfloat16):
        state = {n: t.to(dtype) for n, t in load_file(folder / "model.safetensors").items()}
        expected = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        network = network_of(folder, state)
        with torch.inference_mode():
            theirs, ours = (model(tokens, use_cache=False).logits for model in (expected, network))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_go_back_to_the_tensors_that_are_stored(
    saved: Callable[[str, str], Path], family: str
) -> None:
    """Layer by layer both forms hold the same numbers, so both have the same gradient."""
    by_form: dict[str, tuple[float, dict[str, Floats]]] = {}
    prepared = answers(1000)
    for form in ("stored", "as in the network"):
        founders = [open_checkpoint(saved(family, form) / name) for name in NAMES]
        shapes = {name: header.shape for name, header in founders[0].tensors.items()}
        layout = layout_of(shapes, founders[0].config, "layer")
        maker = Materialiser(founders, Basis(NAMES, 0), layout, rounded=False)
        config = config_of(family, **FAMILIES[family])
        networks = Networks(config, torch.float32, torch.device("cpu"))
        genome = np.full((2, len(layout.blocks)), 0.4)
        gradient, state = np.zeros_like(genome), maker.one(genome)
        networks.load_weights(state)

        def take(name: str, by_tensor: torch.Tensor) -> None:
            maker.add_gradient(genome, name, by_tensor, gradient)  # noqa: B023 - called in this turn

        loss = answer_loss(
            networks.working, networks.names(state), prepared, networks.by_stored_names(state, take)
        )
        columns = {block.name: gradient[:, n] for n, block in enumerate(layout.blocks)}
        by_form[form] = loss, columns
    (loss, stored), (expected_loss, expected) = by_form.values()
    assert set(open_checkpoint(saved(family, "stored") / "base").tensors) != shapes.keys()
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert stored.keys() == expected.keys()
    largest = max(np.abs(column).max() for column in expected.values())
    assert largest > 0
    for name, column in expected.items():
        np.testing.assert_allclose(stored[name], column, atol=1e-5 * largest, err_msg=name)


def test_a_tensor_that_has_no_place_is_named(saved: Callable[[str, str], Path]) -> None:
    folder = saved("gpt_neox", "stored") / "base"
    state = load_file(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"unknown tensor extra\.weight, which does not fit"):
        network_of(folder, state | {"extra.weight": torch.zeros(2)})
    del state["embed_out.weight"]
    with pytest.raises(CheckpointError, match=r"lacks lm_head\.weight, which does not fit"):
        network_of(folder, state)
