"""How much may be in memory at a time: bounded, said, and of no influence on what is made."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from population.campaign.memory_plan import MemoryNeeds, free_memory, planned
from population.errors import CheckpointError
from population.models import cache_entries, checked_hashes
from population.models.blocks import layout_of
from population.models.checked_hashes import checked_sha256
from population.models.opening import open_checkpoint
from population.weights import founder_rows
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, state_sha256

GB = 10**9
SMOL = MemoryNeeds(model=269_000_000, network=0, forward=340_000_000)
"""135 M parameters in bf16."""


def test_a_model_of_135_million_parameters_stays_below_three_gigabytes() -> None:
    plan = planned(SMOL, nominal=2, memory_gb=None, free=20.0 * GB)
    assert plan.evaluators == 2
    assert plan.batch >= 2
    assert plan.enough
    assert plan.bytes < 3 * GB
    assert re.fullmatch(
        r"up to 2\.\d GB of memory: 2 networks at work, \d models made at a time, of 0\.3 GB each",
        plan.words,
    )


@pytest.mark.parametrize("memory", [0.001, 0.5, 1.0, 1.9, 2.5, 4.0, 50.0])
@pytest.mark.parametrize("nominal", [1, 2, 16])
@pytest.mark.parametrize("model", [5 * 10**6, 269 * 10**6, 3_200 * 10**6])
def test_whatever_may_be_taken_is_not_exceeded_or_said(
    memory: float, nominal: int, model: int
) -> None:
    plan = planned(MemoryNeeds(model, model, 10**8), nominal, memory, 100.0 * GB)
    assert 1 <= plan.evaluators <= nominal
    assert plan.batch >= 1
    assert plan.waiting >= 1
    assert plan.enough == (plan.bytes <= memory * GB)
    assert ("the least that these founders need" in plan.words) == (not plan.enough)
    if not plan.enough:
        assert (plan.evaluators, plan.batch, plan.waiting) == (1, 1, 1)


def test_more_memory_never_means_less_at_a_time() -> None:
    plans = [planned(SMOL, 4, memory, 100.0 * GB) for memory in np.arange(0.5, 12.0, 0.25)]
    for lower, higher in pairwise(plans):
        assert higher.evaluators >= lower.evaluators
        assert higher.bytes >= lower.bytes


def test_the_usual_is_bounded_by_what_is_free() -> None:
    assert planned(SMOL, 2, None, 1.0 * GB).evaluators == 1
    assert planned(MemoryNeeds(3 * GB, 0, GB), 4, None, 10.0 * GB).evaluators == 1
    assert planned(MemoryNeeds(3 * GB, 0, GB), 4, None, 100.0 * GB).evaluators == 4
    assert 0 < free_memory() < 2**60


def test_small_models_are_made_by_the_brood() -> None:
    plan = planned(MemoryNeeds(5 * 10**6, 10**7, 10**7), 2, None, 8.0 * GB)
    assert plan.batch > 100
    assert "small ones" in plan.words


@pytest.mark.parametrize("slab", [1, 700, 1 << 22])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("blocks", ["half", "group"])
def test_models_are_the_same_however_they_are_cut_for_the_making(
    make_checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    slab: int,
    batch: int,
    blocks: str,
) -> None:
    founders = [open_checkpoint(make_checkpoint(name, seed)) for seed, name in enumerate("abc")]
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, founders[0].config, blocks, 2)  # type: ignore[arg-type]
    basis = Basis(("a", "b", "c"), 0)
    genomes = list(np.random.default_rng(3).normal(0.3, 0.4, (5, 2 * len(layout.blocks))))
    whole = Materialiser(founders, basis, layout)
    expected = [state_sha256(state) for state in whole.siblings(genomes)]
    monkeypatch.setattr(founder_rows, "SLAB", slab)
    monkeypatch.setattr(founder_rows, "ROWS", 1)
    for kept in ("KEEP_IN_MEMORY", "KEEP_MAPPED"):
        monkeypatch.setattr(founder_rows, kept, 0)  # from the files, as large ones are
    pieces = Materialiser(founders, basis, layout, batch)
    assert [state_sha256(state) for state in pieces.siblings(genomes)] == expected


MAKING = """
import resource, sys
from pathlib import Path
import numpy as np
from population.models.blocks import layout_of
from population.models.opening import open_checkpoint
from population.weights.materialise import Materialiser
from population.weights.genomes import Basis
founders = [open_checkpoint(Path(path)) for path in sys.argv[2:]]
shapes = {name: header.shape for name, header in founders[0].tensors.items()}
layout = layout_of(shapes, founders[0].config, "half", 1)
maker = Materialiser(founders, Basis(("a", "b"), 0), layout, int(sys.argv[1]))
genomes = [np.full(len(layout.blocks), 0.1 * k) for k in range(6)]
next(maker.siblings(genomes[1:2]))  # of both founders, whose pages count as memory
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for state in maker.siblings(genomes):
    del state
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_siblings_that_are_made_one_by_one_take_the_memory_of_one(
    make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = {"hidden_size": 512, "intermediate_size": 4096, "num_hidden_layers": 8}
    paths = [make_checkpoint(name, seed, **size) for seed, name in enumerate("ab")]
    megabytes = sum(h.size for h in open_checkpoint(paths[0]).tensors.values()) / 2**20
    assert megabytes > 150
    done = subprocess.run(
        [sys.executable, "-c", MAKING, "1", *map(str, paths)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert float(done.stdout) < 0.5 * megabytes


def test_a_hash_is_written_down_until_the_file_is_another(
    make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checked_hashes, "MIN_CACHED_BYTES", 1)
    folder = make_checkpoint("one")
    opened = open_checkpoint(folder)
    reads: list[int] = []

    def known() -> str:
        return checked_sha256(open_checkpoint(folder), lambda done, total: reads.append(done))

    truth = opened.sha256()
    assert known() == truth
    assert reads
    assert not (tmp_path / "cache").exists(), "it was written a moment ago: who knows"
    monkeypatch.setattr(checked_hashes, "SETTLED_S", 0.0)
    assert known() == truth
    reads.clear()
    assert known() == truth
    assert reads == []
    # The same size, and the time of its last change put back.
    file = folder / "model.safetensors"
    content, stat = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.write_bytes(content)

    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = known()
    assert changed == open_checkpoint(folder).sha256() != truth
    # What stands there and is no hash is read over.
    for place in (tmp_path / "cache" / "colony" / "fingerprints").iterdir():
        place.write_text("nonsense")
    assert known() == changed
    monkeypatch.setattr(cache_entries, "MAX_ENTRIES", 2)
    for copy in ("two", "three", "four"):
        shutil.copytree(folder, tmp_path / copy)
        checked_sha256(open_checkpoint(tmp_path / copy))
    assert len(list((tmp_path / "cache" / "colony" / "fingerprints").iterdir())) == 2


def test_weights_that_are_no_numbers_have_no_checked_sha256(
    make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checked_hashes, "MIN_CACHED_BYTES", 1)
    monkeypatch.setattr(checked_hashes, "SETTLED_S", 0.0)
    file = make_checkpoint("nan") / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-4:] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(CheckpointError, match="holds NaN or infinity"):
            checked_sha256(open_checkpoint(file.parent))
