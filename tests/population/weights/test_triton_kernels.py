"""The kernels for accelerators give the bits of the compiled loops; interpreted, without a GPU."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

pytest.importorskip("triton", reason="Triton is not installed")

COMPARE = """
import sys
from pathlib import Path
import numpy as np, torch
from population.models.blocks import layout_of
from population.models.opening import open_checkpoint
from population.weights import triton_kernels, word_sums
from population.weights.device_sums import DeviceFounders
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, state_sha256

rng = np.random.default_rng(0)
for size in (1, 3, 4, 7, 8, 1023, 4096, 10_001):
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.uint8):
        tensor = torch.from_numpy(rng.integers(0, 100, size)).to(dtype)
        tensors = [tensor, tensor[:0], tensor[size // 2 :].clone()]
        expected = word_sums.word_sums(tensors)
        assert (triton_kernels.word_sums(tensors) == expected).all(), (size, dtype)

founders = [open_checkpoint(Path(folder)) for folder in sys.argv[1:]]
shapes = {name: header.shape for name, header in founders[0].tensors.items()}
for base in (0, 1, None):
    for granularity in ("layer", "group"):
        layout = layout_of(shapes, founders[0].config, granularity)
        basis = Basis(("a", "b", "c"), base)
        made = Materialiser(founders, basis, layout)
        genomes = [rng.normal(size=(len(basis.vectors), len(layout.blocks))) for _ in range(3)]
        genomes[1][:] = 0.0
        genomes[1][0] = 1.0
        compiled = [state_sha256(state) for state in made.siblings(genomes)]
        made._device = DeviceFounders(founders, layout.segments, torch.device("cpu"))
        made._device._kernels = triton_kernels
        assert [state_sha256(state) for state in made.siblings(genomes)] == compiled, base
        assert made._device._tables, "the kernel was not asked"
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "float32"])  # interpreted, bf16 is cut, not rounded
def test_kernels_give_the_bits_of_the_compiled_loops(
    make_checkpoint: Callable[..., Path], dtype: str
) -> None:
    folders = []
    for seed, name in enumerate("abc"):
        folder = make_checkpoint(name, seed)
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(folder)
        folders.append(str(folder))
    subprocess.run(
        [sys.executable, "-c", COMPARE, *folders],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        check=True,
    )
